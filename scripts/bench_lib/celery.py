"""Two worker processes of Celery; Redis, for itself, carries tasks and results."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from bench_lib import processes
from bench_lib.environments import python_with
from bench_lib.nodes import SCRIPTS
from bench_lib.processes import Child
from bench_lib.talk import Driven, Driver

CELERY, CLIENT = "celery[redis]==5.7.0", "redis==8.1.0"
REDIS = shutil.which("redis-server") or "redis-server"
READY_S = 30.0
WORKERS = (
    *("--concurrency", "2", "--pool", "prefork", "--loglevel", "warning"),
    # They tell other workers what this one does; there are none.
    *("--without-gossip", "--without-mingle"),
)


def redis_version() -> str:
    """Of the server that is installed."""
    return processes.ask([REDIS, "--version"]).partition(" sha=")[0]


class Celery(Driven):
    """Prefetch multiplier 1; results are kept in Redis, which writes nothing to disk."""

    name = "celery"

    def __init__(self) -> None:
        self.python = python_with(CELERY, CLIENT)
        self.children: list[Child] = []

    def start(self, folder: Path) -> None:
        """Redis first, on a port that is free."""
        self.children, self.driver = [], None
        port = _free_port()
        line = [REDIS, "--port", port, "--bind", "127.0.0.1", "--dir", folder]
        self.children.append(Child([*line, "--save", "", "--appendonly", "no"], folder / "redis.log"))
        self._wait_redis(port)
        env = {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0", "PYTHONPATH": str(SCRIPTS)}
        line = [self.python, "-m", "celery", "-A", "bench_lib.rivals.celery_app", "worker", *WORKERS]
        self.children.append(Child(line, folder / "worker.log", env=env))
        self.driver = Driver(self.python, "celery_calls", log=folder / "log", env=env)
        self.children.append(self.driver.child)
        self.driver.wait_ready()

    def _wait_redis(self, port: int) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and not self.children[0].ended():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as redis:
                redis.sendall(b"PING\r\n")
                if redis.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.05)
        raise SystemExit(f"error: redis-server does not answer\nhint: look into {self.children[0].log}")

    def stop(self) -> None:
        """The driver first, Redis last."""
        while self.children:
            self.children.pop().stop()

    def pids(self) -> list[int]:
        """Redis, the worker with its processes, the driver."""
        return [child.pid for child in self.children]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
