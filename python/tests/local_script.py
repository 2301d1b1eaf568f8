"""A script that runs a cluster of its own; the tests end it in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import snakepit
from snakepit import tool


class Tools:
    @tool
    def whose(self) -> int:
        return os.getpid()

    @tool
    def spawn(self) -> int:
        """A process that nobody waits for."""
        return subprocess.Popen(["sleep", "600"]).pid


def pids(cluster: snakepit.LocalCluster, client: snakepit.Client) -> list[int]:
    workers = [worker.pid for worker in client.workers()]
    return [*cluster.pids, *workers, client.call("spawn").value]


def main(client: snakepit.Client) -> str:
    print(client.call("whose").value, flush=True)
    match sys.argv[1]:
        case "raise":
            raise RuntimeError("as asked")
        case "exit":
            sys.exit(7)
        case "sleep":
            rest()
    return "done"


def rest() -> None:
    """Wait for what ends this process.

    In short sleeps: Python does not see a signal that comes just before it sleeps until it has slept.
    """
    ends = time.monotonic() + 600
    while time.monotonic() < ends:
        time.sleep(0.1)


def hold() -> None:
    cluster = snakepit.LocalCluster(adapter=Tools, workers=1).start()
    with cluster.connect() as client:
        found = pids(cluster, client)
    # Not before the channel is closed: an interrupt within its callbacks is lost.
    print(*found, cluster.dir, flush=True)
    match sys.argv[1]:
        case "hold":
            rest()
        case "fork":
            # A child that outlives its parent holds the parent's pipes.
            if os.fork() == 0:
                print("child", os.getpid(), flush=True)
                os.execvp("sleep", ["sleep", "8"]) if len(sys.argv) > 2 else time.sleep(8)
            rest()
        case "raise-holding":
            raise RuntimeError("as asked")


if __name__ == "__main__":
    # Whoever started the tests may ignore interrupts, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1] in ("hold", "fork", "raise-holding", "leave"):
        hold()
    else:
        mode: Any = sys.argv[2] if len(sys.argv) > 2 else "auto"
        print(snakepit.run_as_script(main, adapter=Tools, workers=1, exit_mode=mode))
