"""Chunks per second of one streaming call, from one worker to the Python client."""

from __future__ import annotations

import time

from snakepit import Client

from bench_lib.extras.rig import Rig
from bench_lib.system import running

# The first call tells how many chunks make a measurement of the wanted length.
TRIAL_CHUNKS = 5_000


def measure(rig: Rig) -> None:
    """Rounds follow each other on the same worker."""
    node = rig.node(1)
    with running(node, rig.folder, rig.flags.keep), Client(node.endpoints) as client:
        _per_second(client, TRIAL_CHUNKS)
        count = int(_per_second(client, TRIAL_CHUNKS) * rig.flags.duration)
        rates = [_per_second(client, count) for _ in range(rig.flags.rounds)]
    rig.note("stream", "chunks/s", rates)


def _per_second(client: Client, count: int) -> float:
    began = time.monotonic()
    got = sum(1 for _ in client.stream("chunks", timeout_s=600.0, count=count))
    took = time.monotonic() - began
    if got != count:
        raise SystemExit(f"error: {got} of {count} chunks came")
    return got / took
