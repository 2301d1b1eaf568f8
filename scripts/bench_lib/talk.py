"""A driver of `bench_lib.rivals` at work: one line for each measurement, one line of JSON as its answer."""

from __future__ import annotations

import argparse
import json
import select
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_lib.cells import Cell
from bench_lib.nodes import SCRIPTS
from bench_lib.processes import Child

READY_S = 90.0
# Beyond the time that is measured.
LATE_S = 60.0


class Driver:
    """A driver that is ready."""

    def __init__(
        self, python: Path, module: str, *arguments: object, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        line = [python, "-m", f"bench_lib.rivals.{module}", *arguments]
        self.child = Child(line, log, env={"PYTHONPATH": str(SCRIPTS), **(env or {})}, talks=True)

    def wait_ready(self) -> None:
        """Read its first line."""
        self._answer(READY_S)

    def measure(self, clients: int, flags: argparse.Namespace) -> dict[str, Any]:
        """One cell of the table."""
        asked = {"clients": clients, "warmup": flags.warmup, "duration": flags.duration}
        self.child.pipes[0].write(json.dumps(asked).encode() + b"\n")
        return self._answer(flags.warmup + flags.duration + LATE_S)

    def _answer(self, patience_s: float) -> dict[str, Any]:
        answers = self.child.pipes[1]
        readable, _, _ = select.select([answers], [], [], patience_s)
        line = answers.readline() if readable else b""
        if not line:
            last = "\n".join(self.child.log.read_text(errors="replace").splitlines()[-5:])
            raise SystemExit(f"error: a driver did not answer; its last words:\n{last}")
        return dict(json.loads(line))


class Driven:
    """A system that is called by a driver, which is there once it has started."""

    driver: Driver | None = None

    def load(self, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
        """Calls only."""
        assert cell.op == "call"
        assert self.driver is not None
        return self.driver.measure(cell.clients, flags)
