"""Three members of etcd with default settings."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from bench_lib import processes
from bench_lib.cells import Cell
from bench_lib.system import first_row

ETCD = shutil.which("etcd") or "etcd"
ETCDCTL = shutil.which("etcdctl") or "etcdctl"
READY_S = 60.0


def version() -> str:
    """Of the program that is installed."""
    return processes.ask([ETCD, "--version"]).splitlines()[0]


class Etcd:
    """Loaded by the same code as snakepit, in an example of its own."""

    name = "etcd"

    def __init__(self, load: Path, base_port: int) -> None:
        self.binary, self.folder = load, Path()
        self.clients = [f"127.0.0.1:{base_port + number}" for number in range(3)]
        self.peers = [f"127.0.0.1:{base_port + 100 + number}" for number in range(3)]
        self.launched: list[subprocess.Popen[bytes]] = []

    def start(self, folder: Path) -> None:
        """All three, each by the script that starts it again after a failover."""
        self.folder, self.launched = folder, []
        for number in (1, 2, 3):
            self._member(number)
        for number in (1, 2, 3):
            program = folder / f"node-{number}" / "start"
            self.launched.append(
                subprocess.Popen([program], stdin=subprocess.DEVNULL, start_new_session=True)
            )
        deadline = time.monotonic() + READY_S
        line = [ETCDCTL, "--endpoints", ",".join(self.clients), "endpoint", "health"]
        env = os.environ | {"ETCDCTL_API": "3"}
        while subprocess.run(line, env=env, capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"error: etcd is not ready\nhint: look into {folder}/node-1/log")
            time.sleep(0.1)

    def _member(self, number: int) -> None:
        folder = self.folder / f"node-{number}"
        folder.mkdir(parents=True)
        client, peer = self.clients[number - 1], self.peers[number - 1]
        members = ",".join(f"node-{i}=http://{at}" for i, at in enumerate(self.peers, 1))
        line = [
            *(ETCD, "--name", f"node-{number}", "--data-dir", str(folder / "data")),
            *("--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"),
            *("--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}"),
            *("--initial-cluster", members, "--initial-cluster-token", "bench"),
        ]
        start = folder / "start"
        start.write_text(f'#!/bin/sh\ncd "$(dirname "$0")"\necho $$ >pid\nexec {" ".join(line)} >>log 2>&1\n')
        start.chmod(0o755)

    def stop(self) -> None:
        """Those of the beginning, and those that a failover has started."""
        processes.end({*self.pids(), *(process.pid for process in self.launched)})
        for process in self.launched:
            process.wait()

    def pids(self) -> list[int]:
        """As the members have noted them."""
        return [int(path.read_text()) for path in sorted(self.folder.glob("node-*/pid"))]

    def load(self, cell: Cell, flags: argparse.Namespace) -> dict[str, Any]:
        """Put or Range."""
        return first_row(
            processes.ask(
                [
                    *(self.binary, "load", "--endpoints", ",".join(self.clients), "--op", cell.op),
                    *("--clients", cell.clients, "--target", cell.target, "--value-bytes", flags.value_bytes),
                    *("--duration", flags.duration, "--warmup", flags.warmup),
                ]
            )
        )

    def failover(self, rounds: int) -> dict[str, Any]:
        """The leader gets SIGKILL."""
        line = ["failover", "--dir", self.folder, "--endpoints", ",".join(self.clients), "--rounds", rounds]
        return dict(json.loads(processes.ask([self.binary, *line])))
