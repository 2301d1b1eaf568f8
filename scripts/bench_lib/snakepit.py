"""Snakepit as `snakepit cluster up` makes it, and its load."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from bench_lib import processes
from bench_lib.cells import Cell
from bench_lib.system import first_row


def version(binary: Path) -> str:
    """Of the program that is measured."""
    return processes.ask([binary, "--version"]).strip()


def load(
    binary: Path, endpoints: str, cell: Cell, flags: argparse.Namespace, *further: str
) -> dict[str, Any]:
    """One cell of `snakepit bench`."""
    return first_row(
        processes.ask(
            [
                *(binary, "bench", "-o", "json", "--endpoints", endpoints, "--op", cell.op),
                *("--clients", cell.clients, "--target", cell.target, "--value-bytes", flags.value_bytes),
                *("--duration", f"{flags.duration}s", "--warmup", f"{flags.warmup}s"),
                *further,
            ]
        )
    )


class Cluster:
    """A local cluster of three nodes with default settings."""

    name = "snakepit"

    def __init__(self, binary: Path, base_port: int, workers: int = 0) -> None:
        self.binary, self.base_port, self.workers = binary, base_port, workers
        self.folder = Path()
        self.endpoints = f"127.0.0.1:{base_port},{base_port + 1},{base_port + 2}"

    def start(self, folder: Path) -> None:
        """All nodes, with so many workers each."""
        self.folder = folder
        processes.ask(
            [
                *(self.binary, "cluster", "up", "--detach", "--dir", folder),
                *("--base-port", self.base_port, "--workers", self.workers),
                *(("--python", os.environ["SNAKEPIT_PYTHON"]) if self.workers else ()),
            ]
        )

    def stop(self) -> None:
        """As a person would, where there is anything."""
        if (self.folder / "cluster.json").exists():
            processes.ask([self.binary, "cluster", "down", "--dir", self.folder])

    def pids(self) -> list[int]:
        """The nodes; workers are below them."""
        record = json.loads((self.folder / "cluster.json").read_text())
        return [node["process"]["pid"] for node in record["nodes"] if node["process"]]

    def load(self, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
        """Any operation of `snakepit bench`."""
        return load(self.binary, self.endpoints, cell, flags)

    def failover(self, rounds: int) -> dict[str, Any]:
        """The leader gets SIGKILL."""
        line = ["bench", "-o", "json", "--op", "failover", "--dir", self.folder, "--rounds", rounds]
        return dict(json.loads(processes.ask([self.binary, *line])))
