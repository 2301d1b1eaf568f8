"""A cluster of real nodes, launched by the program that SNAKEPIT_BIN names."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc

import snakepit_bridge_pb2_grpc as service
from tests.fake_node import gone_within, is_alive

T = TypeVar("T")
BIN = os.environ.get("SNAKEPIT_BIN", "")
WAIT_S = 60.0
# Peers are 100 above clients, HTTP 200 above.
_OFFSETS = (0, 100, 200)


class Cluster:
    """Nodes with one worker each. `close` leaves no process behind."""

    def __init__(self, adapter: str, *, nodes: int = 3, heartbeat_ms: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spc")
        self._pids: list[int] = []
        self._channels: list[grpc.Channel] = []
        base = free_base_port(nodes)
        slow = ("--heartbeat-ms", str(heartbeat_ms)) if heartbeat_ms else ()
        self._program(
            "up", "--detach", "--nodes", str(nodes), "--workers", "1", "--adapter", adapter,
            "--python", sys.executable, "--base-port", str(base), "--wait", "60s", *slow,
        )  # fmt: skip
        record = json.loads((Path(self._folder.name) / "cluster.json").read_text())
        self.endpoints: list[str] = [node["client"] for node in record["nodes"]]
        self._pids = [node["process"]["pid"] for node in record["nodes"]]

    def stub(self, node: int = 0) -> Any:
        channel = grpc.insecure_channel(self.endpoints[node], options=(("grpc.enable_http_proxy", 0),))
        self._channels.append(channel)
        return service.BridgeServiceStub(channel)

    def kill(self, node: int) -> None:
        """Kill a node (from 1), as a crash would."""
        self._program("kill", str(node))

    def start(self, node: int) -> None:
        """Start a node that was killed, and wait until it is ready."""
        self._program("start", str(node))
        record = json.loads((Path(self._folder.name) / "cluster.json").read_text())
        self._pids += [one["process"]["pid"] for one in record["nodes"]]

    def logs(self) -> str:
        found = sorted(Path(self._folder.name).glob("node-*/log"))
        return "\n".join(f"--- {path.parent.name}\n{path.read_text()[-4000:]}" for path in found)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        try:
            self._program("down", check=False)
        finally:
            for pid in self._pids:
                # Only what is still the node that was started here.
                if not gone_within(pid, 5.0) and self._folder.name in _command_line(pid):
                    os.kill(pid, 9)
            left = [pid for pid in self._pids if is_alive(pid) and self._folder.name in _command_line(pid)]
            self._folder.cleanup()
        assert not left

    def _program(self, verb: str, *arguments: str, check: bool = True) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEPIT_")}
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        command = [BIN, "cluster", verb, "--dir", self._folder.name, *arguments]
        # Not through pipes: the nodes would hold them open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=120,
                check=False,
            )
            said.seek(0)
            assert not check or done.returncode == 0, f"{said.read()}\n{self.logs()}"


def free_base_port(nodes: int) -> int:
    """A base port whose whole range is free now."""
    for _ in range(100):
        base = random.randrange(20_000, 30_000)
        if all(_is_free(base + offset + node) for offset in _OFFSETS for node in range(nodes)):
            return base
    raise AssertionError("no free ports")


def eventually(ask: Callable[[], T], seconds: float = WAIT_S) -> T:
    """The first answer that is no gRPC error and no failed assertion: workers may still be starting."""
    ends = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (grpc.RpcError, AssertionError):
            if time.monotonic() >= ends:
                raise
            time.sleep(0.2)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
