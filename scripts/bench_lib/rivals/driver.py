"""The loop of all drivers: say when ready, then measure once for each line of standard input.

A line is ``{"clients": 64, "warmup": 2, "duration": 10}``, in seconds. The answer is a line of JSON, with the
names that ``snakepit bench -o json`` uses. Needs only Python: each driver has an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


class Window:
    """The calls of one measurement: those that begin after the warm-up."""

    def __init__(self, warmup_s: float, duration_s: float) -> None:
        self.begin = time.perf_counter() + warmup_s
        self.end = self.begin + duration_s
        self.duration_s = duration_s
        self.count = 0
        self.took: list[float] = []

    def over(self) -> bool:
        """Whether no further call shall begin."""
        return time.perf_counter() >= self.end

    def done(self, began: float) -> None:
        """A call has its answer. One that ends late has a latency, but does not count."""
        now = time.perf_counter()
        if began >= self.begin:
            self.took.append(now - began)
            self.count += now < self.end

    def row(self, clients: int) -> dict[str, Any]:
        """Count, rate and latencies."""
        took = sorted(self.took)
        return {
            "op": "call",
            "clients": clients,
            "elapsed_s": self.duration_s,
            "operations": self.count,
            "operations_per_s": self.count / self.duration_s,
            "errors": {},
            "latency_us": {f"p{q}": _quantile_us(took, q / 100) for q in (50, 90, 99)},
        }


def serve(run: Callable[[int, Window], None], out: Callable[[object], None]) -> None:
    """Measure until standard input ends; `run` keeps so many calls under way until the window is over."""
    out({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        window = Window(asked["warmup"], asked["duration"])
        run(asked["clients"], window)
        out(window.row(asked["clients"]))


def answers() -> Callable[[object], None]:
    """Where answers go: the standard output, which from now on nothing else writes to."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda answer: print(json.dumps(answer), file=own, flush=True)


def _quantile_us(took: list[float], quantile: float) -> float:
    return round(took[min(int(len(took) * quantile), len(took) - 1)] * 1e6, 1) if took else 0.0
