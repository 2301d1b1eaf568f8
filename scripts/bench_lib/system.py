"""What can be measured, and how one cell of a table is."""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bench_lib import processes
from bench_lib.cells import Cell
from bench_lib.machine import busy_s


class System(Protocol):
    """Something that can be launched, loaded and ended."""

    name: str

    def start(self, folder: Path) -> None:
        """Launch it with its data in an empty folder; return once it serves."""

    def stop(self) -> None:
        """End all of it, also where `start` failed or was interrupted."""

    def pids(self) -> list[int]:
        """Its processes; those below them need not be named."""

    def load(self, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
        """Measure one cell; the answer has the names that `snakepit bench -o json` uses."""


class Killable(System, Protocol):
    """Three nodes with a leader."""

    def failover(self, rounds: int) -> dict[str, Any]:
        """Kill the leader so many times."""


@contextmanager
def running(system: System, folder: Path, keep: bool) -> Iterator[None]:
    """A fresh one, and nothing left of it."""
    with data(system.name, folder, keep) as own:
        try:
            system.start(own)
            yield
        finally:
            with processes.undisturbed():
                system.stop()


@contextmanager
def data(name: str, folder: Path, keep: bool) -> Iterator[Path]:
    """A folder for a system's data."""
    own = folder / "data" / f"{name.replace(' ', '-')}-{time.monotonic_ns()}"
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        if not keep:
            shutil.rmtree(own, ignore_errors=True)


def measured(system: System, number: int, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
    """Load it once; say and give what came of it, and what else the machine did meanwhile."""
    began, busy, own = time.monotonic(), busy_s(), _own_s(system.pids())
    result = system.load(cell, flags)
    elapsed = time.monotonic() - began
    foreign = max(0.0, (busy_s() - busy) - (_own_s(system.pids()) - own)) / elapsed
    rate, latency = result["operations_per_s"], result["latency_us"]
    say(
        f"{system.name:15} round {number + 1} {cell}: {rate:8.0f}/s,"
        f" p50 {latency['p50'] / 1000:.2f} ms, p99 {latency['p99'] / 1000:.2f} ms,"
        f" others used {foreign:.2f} cores, errors {result['errors'] or 'none'}"
    )
    return {
        "system": system.name,
        "round": number + 1,
        **cell._asdict(),
        "others_cores": round(foreign, 2),
        "result": result,
    }


def first_row(told: str) -> dict[str, Any]:
    """The only row of a JSON table."""
    return dict(json.loads(told)[0])


def say(text: str) -> None:
    """To people, beside the results."""
    print(text, file=sys.stderr, flush=True)


def _own_s(pids: list[int]) -> float:
    """Processor time of a system, of this program and of its children that have ended."""
    used = processes.used_s(pids)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    return used
