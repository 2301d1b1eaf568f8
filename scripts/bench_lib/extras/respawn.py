"""From SIGKILL of a worker until the pool is at full strength again."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from bench_lib import processes
from bench_lib.extras.rig import Rig
from bench_lib.nodes import LOOK_S, READY_S, Nodes
from bench_lib.system import running

ROUNDS = 7
# Between two rounds, so that the new worker's start is over.
PAUSE_S = 1.0


def measure(rig: Rig) -> None:
    """Every round kills a worker that was never killed: the pause before a restart grows with each crash."""
    node = rig.node(ROUNDS + 1)
    with running(node, rig.folder, rig.flags.keep):
        took = []
        for _ in range(ROUNDS):
            time.sleep(PAUSE_S)
            took.append(_once(node))
    rig.note("respawn", "ms", took)


def _once(node: Nodes) -> float:
    """Milliseconds. A start that was counted tells the new strength from the old one."""
    victim = next(worker for worker in _workers(node) if worker["restarts"] == 0)
    starts = node.metric("snakepit_worker_starts_total")
    began = time.monotonic()
    os.kill(victim["pid"], signal.SIGKILL)
    while node.metric("snakepit_worker_starts_total") == starts or node.ready_workers() <= ROUNDS:
        node.check(began + READY_S)
        time.sleep(LOOK_S)
    return (time.monotonic() - began) * 1e3


def _workers(node: Nodes) -> list[dict[str, Any]]:
    told = processes.ask([node.binary, "worker", "ls", "-o", "json", "--endpoints", node.endpoints])
    return list(json.loads(told))
