"""Snakepit called by its own Python client, as the other systems are by theirs."""

from __future__ import annotations

import os
from pathlib import Path

from bench_lib.nodes import Nodes
from bench_lib.talk import Driven, Driver


class Sdk(Driven, Nodes):
    """The same nodes as `Nodes`, another load."""

    def start(self, folder: Path) -> None:
        """The nodes, then the driver."""
        self.driver = None
        super().start(folder)
        python = Path(os.environ["SNAKEPIT_PYTHON"])
        self.driver = Driver(python, "snakepit_calls", self.endpoints, log=folder / "log")
        self.driver.wait_ready()

    def stop(self) -> None:
        """The driver first."""
        if self.driver:
            self.driver.child.stop()
        super().stop()

    def pids(self) -> list[int]:
        """Nodes and driver."""
        return [*super().pids(), *([self.driver.child.pid] if self.driver else [])]
