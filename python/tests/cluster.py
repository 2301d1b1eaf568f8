"""Three real nodes, started with the binary's own command and gone when the tests are."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = 3
# Clients, peers, HTTP; see `snakepit cluster up --help`.
_OFFSETS = (0, 100, 200)
# Below the ports that Linux gives to outgoing connections.
_PORTS = range(11_000, 31_000, 10)
_ATTEMPTS = 5
_ELECTED_WITHIN_S = 20.0


class Cluster:
    """A local cluster in a folder of its own. `close` leaves none of its processes behind."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = str(Path(binary).resolve())
        self._folder = folder
        self._pids: set[int] = set()
        self.endpoints: list[str] = []

    def up(self) -> None:
        """Start it, on ports that are free; those may be taken by others meanwhile, hence the attempts."""
        root = self._folder
        for attempt in range(_ATTEMPTS):
            self._folder = root / str(attempt)
            base = _free_base()
            ports = ("--nodes", str(NODES), "--base-port", str(base))
            done = self._run("up", *ports, "--detach", "--workers", "0")
            if done.returncode == 0:
                self.endpoints = [f"127.0.0.1:{base + n}" for n in range(NODES)]
                return
            if "is in use" not in done.stderr:
                raise AssertionError(f"the cluster does not start: {done.stderr}\n{_logs(self._folder)}")
            self.close()
        raise AssertionError("no free ports were found")

    def kill(self, node: int) -> None:
        """Kill a node (from 1), as a crash would."""
        self._checked("kill", str(node))

    def start(self, node: int) -> None:
        """Start a node that was killed, and wait until it is ready."""
        self._checked("start", str(node))

    def leader(self) -> int:
        """The number of the node that leads."""
        from snakepit import _methods
        from snakepit._endpoints import Endpoints
        from snakepit._proto import cluster_v1_pb2 as pb

        status = _methods.Method("Status", pb.StatusRequest, pb.StatusResponse, service=_methods.CLUSTER)
        endpoints = Endpoints(self.endpoints)
        ends = time.monotonic() + _ELECTED_WITHIN_S
        try:
            while time.monotonic() < ends:
                if leader := endpoints.unary(status, pb.StatusRequest()).leader_id:
                    return int(leader)
                time.sleep(0.05)
        finally:
            endpoints.close()
        raise AssertionError("no node leads")

    def close(self) -> None:
        """Stop all nodes; what does not stop is killed."""
        self._note()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._run("down")
        for pid in self._pids:
            # The number may be another's by now.
            with contextlib.suppress(OSError):
                if str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)") == self._binary:
                    os.kill(pid, signal.SIGKILL)
        self._pids.clear()

    def _checked(self, *arguments: str) -> None:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._binary, "cluster", *arguments, "--dir", str(self._folder)],
                env=os.environ | {"SNAKEPIT_PYTHON": sys.executable},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            self._note()

    def _note(self) -> None:
        """Remember which processes there are, for the end."""
        with contextlib.suppress(OSError, ValueError):
            nodes = json.loads((self._folder / "cluster.json").read_text())["nodes"]
            self._pids |= {node["process"]["pid"] for node in nodes if node["process"]}


def _free_base() -> int:
    for base in random.sample(_PORTS, len(_PORTS)):
        with contextlib.ExitStack() as held:
            try:
                for offset in _OFFSETS:
                    for n in range(NODES):
                        one = held.enter_context(socket.socket())
                        one.bind(("127.0.0.1", base + offset + n))
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


def _logs(folder: Path) -> str:
    return "\n".join(log.read_text(errors="replace")[-2000:] for log in sorted(folder.glob("node-*/log")))
