"""Calls with a journal of each call, and without one: the pool's setting `journal`."""

from __future__ import annotations

from bench_lib.cells import Cell
from bench_lib.extras.rig import Rig
from bench_lib.nodes import Nodes
from bench_lib.system import measured, running

CLIENTS = 64
CHOICES = ("off", "full")
# As where calls are measured beside other systems.
WORKERS = (1, 1, 0)


def measure(rig: Rig) -> None:
    """Who goes first changes from round to round."""
    for number in range(rig.flags.rounds):
        for choice in CHOICES if number % 2 == 0 else CHOICES[::-1]:
            name, pool = f"journal {choice}", {"journal": choice}
            nodes = Nodes(rig.binary, rig.flags.base_port, WORKERS, name=name, pool=pool)
            with running(nodes, rig.folder, rig.flags.keep):
                rig.results.add(measured(nodes, number, Cell("call", CLIENTS), rig.flags))
