"""From the start of a node's process until sixteen workers serve."""

from __future__ import annotations

import time

from bench_lib import processes
from bench_lib.extras.rig import Rig
from bench_lib.nodes import LOOK_S, READY_S
from bench_lib.system import data

WORKERS = 16
ROUNDS = 5


def measure(rig: Rig) -> None:
    """A node with an empty data directory each time; its other settings are the defaults."""
    took = []
    for _ in range(ROUNDS):
        node = rig.node(WORKERS)
        with data("start16", rig.folder, rig.flags.keep) as folder:
            try:
                began = time.monotonic()
                node.launch(folder)
                while node.ready_workers() < WORKERS:
                    node.check(began + READY_S)
                    time.sleep(LOOK_S)
                took.append((time.monotonic() - began) * 1e3)
            finally:
                with processes.undisturbed():
                    node.stop()
    rig.note("start16", "ms", took)
