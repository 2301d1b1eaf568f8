"""What every extra needs."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench_lib.nodes import Nodes
from bench_lib.report import Results
from bench_lib.system import say


@dataclass(frozen=True)
class Rig:
    """Where nodes come from, and where results go."""

    binary: Path
    folder: Path
    flags: argparse.Namespace
    results: Results

    def node(self, workers: int, **pool: object) -> Nodes:
        """One node with so many workers; `pool` is further settings of its pool."""
        return Nodes(self.binary, self.flags.base_port, [workers], pool=pool)

    def note(self, what: str, unit: str, values: list[float]) -> None:
        """Keep the rounds and their median."""
        median = statistics.median(values)
        say(f"snakepit: {what}, median {median:,.0f} {unit}")
        rounds = [round(value, 1) for value in values]
        result = {"unit": unit, "median": round(median, 1), "rounds": rounds}
        self.results.add({"system": "snakepit", "op": what, "clients": 1, "result": result})
