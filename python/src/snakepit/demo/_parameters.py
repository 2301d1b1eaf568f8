"""The search's variables: what `snakepit.demo.digits` reads, without importing scikit-learn."""

from __future__ import annotations

import random
from typing import Any, Final

# Name, type, first value, constraints.
VARIABLES: Final[tuple[tuple[str, str, Any, dict[str, Any]], ...]] = (
    ("C", "float", 1.0, {"min": 1e-4, "max": 1e4}),
    ("gamma", "float", 0.1, {"min": 1e-4, "max": 10.0}),
    ("kernel", "string", "linear", {"enum": ["linear", "rbf"]}),
    ("epochs", "integer", 10, {"min": 1, "max": 200}),
    ("shuffle", "boolean", True, {}),
    ("best_score", "float", 0.0, {"min": 0.0, "max": 1.0}),
    ("best_trial", "integer", 0, {"min": 0}),
)


def draw(source: random.Random) -> dict[str, Any]:
    """One point of the search space."""
    return {
        "C": round(10.0 ** source.uniform(-2, 2), 6),
        "gamma": round(10.0 ** source.uniform(-2.5, 0), 6),
        "kernel": source.choice(["linear", "rbf"]),
        "epochs": source.randint(15, 60),
        "shuffle": source.random() < 0.8,
    }
