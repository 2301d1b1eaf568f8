"""Nodes of Snakepit with settings of their own: `snakepit cluster up` gives all nodes the same pool."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_lib import snakepit
from bench_lib.cells import Cell
from bench_lib.processes import Child

ADAPTER = "bench_lib.tools"
SCRIPTS = Path(__file__).resolve().parent.parent
READY_S = 90.0
LOOK_S = 0.005
# A node's other addresses are so many ports above the one for clients, as in a local cluster.
PEER, HTTP = 100, 200


class Nodes:
    """So many nodes as there are numbers of workers, on ports from `base_port`; `pool` is further settings.

    Their workers serve `bench_lib.tools`; calls are those of its empty tool, with one byte.
    """

    def __init__(
        self,
        binary: Path,
        base_port: int,
        workers: Sequence[int],
        *,
        name: str = "snakepit",
        pool: Mapping[str, object] | None = None,
    ) -> None:
        self.binary, self.base_port, self.workers, self.name = binary, base_port, workers, name
        self.pool = pool or {}
        self.nodes: list[Child] = []
        self.endpoints = ",".join(self._at(number) for number in range(len(workers)))

    def start(self, folder: Path) -> None:
        """Launch them and wait for all workers."""
        self.launch(folder)
        deadline = time.monotonic() + READY_S
        while not self.ready():
            self.check(deadline)
            time.sleep(LOOK_S)

    def launch(self, folder: Path) -> None:
        """Launch them and do not wait."""
        self.nodes = []
        for number in range(len(self.workers)):
            own = folder / f"node-{number + 1}"
            own.mkdir()
            (own / "node.toml").write_text(self._settings(number, own / "data"))
            line = [self.binary, "node", "--config", own / "node.toml"]
            self.nodes.append(Child(line, own / "log"))

    def ready(self) -> bool:
        """Whether they serve, with all their workers."""
        return all(
            _get(self._at(number, HTTP), "/readyz")[0] == 200 and self.ready_workers(number) >= wanted
            for number, wanted in enumerate(self.workers)
        )

    def check(self, deadline: float) -> None:
        """End the benchmark where a node has ended, or where it is too late."""
        for node in self.nodes:
            if node.ended() or time.monotonic() > deadline:
                what = "has ended" if node.ended() else "is not where it should be in time"
                last = "\n".join(node.log.read_text(errors="replace").splitlines()[-5:])
                raise SystemExit(f"error: a node {what}; its last words:\n{last}\nhint: --keep keeps its log")

    def ready_workers(self, number: int = 0) -> float:
        """Of one node."""
        return self.metric("snakepit_worker_ready", number)

    def metric(self, name: str, number: int = 0) -> float:
        """The sum of a metric over its labels; 0 where there is none, or no node yet."""
        _, text = _get(self._at(number, HTTP), "/metrics")
        lines = (line for line in text.splitlines() if line.startswith((name + " ", name + "{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def stop(self) -> None:
        """End all, and their workers."""
        for node in self.nodes:
            node.stop()
        self.nodes = []

    def pids(self) -> list[int]:
        """The nodes; workers are below them."""
        return [node.pid for node in self.nodes]

    def load(self, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
        """Calls of the empty tool."""
        own = argparse.Namespace(**{**vars(flags), "value_bytes": 1})
        return snakepit.load(self.binary, self.endpoints, cell, own, "--tool", "noop")

    def _at(self, number: int, offset: int = 0) -> str:
        return f"127.0.0.1:{self.base_port + number + offset}"

    def _addresses(self, number: int) -> str:
        at = {"client": self._at(number), "peer": self._at(number, PEER), "http": self._at(number, HTTP)}
        return _toml(at)

    def _settings(self, number: int, data: Path) -> str:
        node = {"id": number + 1, "cluster_id": "bench", "data_dir": str(data)}
        text = f"[node]\n{_toml(node)}\n[listen]\n{self._addresses(number)}\n"
        for other in range(len(self.workers)):
            text += f"[[member]]\nid = {other + 1}\n{self._addresses(other)}\n"
        if self.workers[number]:
            python = os.environ["SNAKEPIT_PYTHON"]
            pool = {"adapter": ADAPTER, "size": self.workers[number], "python": python, **self.pool}
            text += f"[[pool]]\n{_toml(pool)}[pool.env]\n{_toml({'PYTHONPATH': str(SCRIPTS)})}"
        return text


def _toml(pairs: Mapping[str, object]) -> str:
    """JSON's texts and numbers are TOML's as well."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in pairs.items())


def _get(at: str, path: str) -> tuple[int, str]:
    """Status and text; status 0 where nobody answers."""
    connection = http.client.HTTPConnection(at, timeout=2.0)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
