"""The rounds: each cell of all systems in turn, then the extras."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench_lib import celery, etcd, machine, options, snakepit
from bench_lib.celery import Celery
from bench_lib.cells import Cell, state_cells
from bench_lib.etcd import Etcd
from bench_lib.extras import EXTRAS
from bench_lib.extras.rig import Rig
from bench_lib.nodes import Nodes
from bench_lib.ray import RAY, Ray
from bench_lib.report import Results, report
from bench_lib.sdk import Sdk
from bench_lib.snakepit import Cluster
from bench_lib.system import Killable, System, measured, running, say

# Of every system that calls are measured of, two workers in all.
THREE_NODES, ONE_NODE = (1, 1, 0), (2,)


def main(what: str) -> int:
    """Measure and print; 0 where nothing failed."""
    # What is running is ended on the way out, also where a shell in the background has ignored Ctrl-C for us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    flags = options.read(what)
    folder = flags.results / time.strftime("%Y-%m-%dT%H-%M-%S")
    folder.mkdir(parents=True)
    binary = Path(os.environ["SNAKEPIT_BIN"])
    stores, callers = _stores(binary, flags), _callers(binary, flags)
    shown = {name: str(value) for name, value in vars(flags).items()}
    results = Results(folder, machine.facts(folder, _versions(binary, flags)), shown)
    say(json.dumps(results.machine, indent=2))
    try:
        if flags.state:
            _rounds(stores, state_cells(flags), flags, results)
        if flags.tools:
            _rounds(callers, [Cell("call", clients) for clients in flags.call_clients], flags, results)
        _extras(binary, stores, flags, results)
    except KeyboardInterrupt:
        say("stopped; this is what there is")
        return 130
    finally:
        text = report(results, flags)
        (folder / "table.md").write_text(text)
        print(text)
        say(f"results: {folder}")
    return 0


def _stores(binary: Path, flags: argparse.Namespace) -> list[Killable]:
    """Those that hold state."""
    systems: list[Killable] = [Cluster(binary, flags.base_port)]
    if "etcd" in flags.against:
        systems.append(Etcd(Path(os.environ["SNAKEPIT_ETCD_BENCH"]), flags.base_port + 500))
    return systems


def _callers(binary: Path, flags: argparse.Namespace) -> list[System]:
    """Those that run functions; the names of `--against`, in its order."""
    if not flags.tools:
        return []
    systems: list[System] = [
        Nodes(binary, flags.base_port, THREE_NODES),
        Nodes(binary, flags.base_port, ONE_NODE, name="snakepit 1 node"),
    ]
    for name in flags.against:
        if name == "sdk":
            systems.append(Sdk(binary, flags.base_port, THREE_NODES, name="snakepit sdk"))
        elif name == "celery":
            systems.append(Celery())
        elif name in {"ray", "ray-get"}:
            systems.append(Ray("get" if name == "ray-get" else "wait"))
    return systems


def _rounds(
    systems: Sequence[System], cells: list[Cell], flags: argparse.Namespace, results: Results
) -> None:
    """Every cell so many times; who goes first changes from round to round."""
    for number in range(flags.rounds):
        for cell in cells:
            for system in systems if number % 2 == 0 else systems[::-1]:
                with running(system, results.folder, flags.keep):
                    results.add(measured(system, number, cell, flags))


def _extras(binary: Path, stores: list[Killable], flags: argparse.Namespace, results: Results) -> None:
    if "call" in flags.extra:
        pools = Cluster(binary, flags.base_port, workers=1)
        pools.name = "3 workers, echo"
        for clients in flags.clients:
            with running(pools, results.folder, flags.keep):
                results.add(measured(pools, 0, Cell("call", clients), flags))
    if "failover" in flags.extra:
        for system in stores:
            with running(system, results.folder, flags.keep):
                outcome = system.failover(flags.failover_rounds)
                say(f"{system.name}: failover, median {outcome['median_ms']} ms")
                results.add({"system": system.name, "op": "failover", "clients": 1, "result": outcome})
    rig = Rig(binary, results.folder, flags, results)
    for name in flags.extra:
        if name in EXTRAS:
            EXTRAS[name](rig)


def _versions(binary: Path, flags: argparse.Namespace) -> dict[str, str]:
    told = {"snakepit": snakepit.version(binary)}
    if "etcd" in flags.against:
        told["etcd"] = etcd.version()
    if {"ray", "ray-get"} & set(flags.against):
        told["ray"] = RAY
    if "celery" in flags.against:
        told |= {"celery": f"{celery.CELERY}, {celery.CLIENT}", "redis": celery.redis_version()}
    return told
