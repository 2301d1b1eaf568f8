"""A zygote and the workers forked of it, as a node keeps them: this process is the child subreaper."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tests.fake_node import FakeNode

_PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """A worker: its pid, and the ends of its output to read."""

    def __init__(self, pid: int, out: int, err: int) -> None:
        self.pid = pid
        self._out, self._err = out, err
        self.status: int | None = None

    def wait(self) -> int:
        """Its exit code; negative for a signal."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def output(self) -> tuple[bytes, bytes]:
        """All of it, when it has ended."""
        with os.fdopen(self._out, "rb") as out, os.fdopen(self._err, "rb") as err:
            return out.read(), err.read()

    def end(self) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()


class Zygote:
    def __init__(self, node: FakeNode, arguments: Sequence[str] = (), **settings: str) -> None:
        self._node = node
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        ours.settimeout(30)
        environment = {k: v for k, v in node.environment("").items() if not k.startswith("SNAKEPIT_")}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "snakepit.worker", "--zygote", *arguments],
            stdin=theirs.fileno(),
            env=environment | settings,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self.workers: list[Forked] = []

    def ready(self) -> bool:
        return bool(self.hear() == {"ready": True})

    def hear(self) -> Any:
        data = self.socket.recv(65536)
        return json.loads(data) if data else None

    def ask(self, request: bytes, descriptors: Sequence[int]) -> Any:
        socket.send_fds(self.socket, [request], list(descriptors))
        return self.hear()

    def begin(self, worker_id: str, adapter: str = "tests.tools", **settings: str | None) -> None:
        """Ask for a worker; `finish` takes the answer."""
        own = {k: v for k, v in self._node.environment(adapter).items() if k.startswith("SNAKEPIT_")}
        env = {**own, "SNAKEPIT_WORKER_ID": worker_id, **settings}
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        try:
            socket.send_fds(
                self.socket, [json.dumps({"env": env, "adapter": adapter}).encode()], [out_end, err_end]
            )
        finally:
            os.close(out_end)
            os.close(err_end)
        self.workers.append(Forked(0, out, err))

    def finish(self, number: int = -1) -> Forked:
        answer = self.hear()
        assert "pid" in answer, answer
        worker = self.workers[number]
        worker.pid = answer["pid"]
        return worker

    def fork(self, worker_id: str, adapter: str = "tests.tools", **settings: str | None) -> Forked:
        self.begin(worker_id, adapter, **settings)
        return self.finish()

    def close(self) -> None:
        self.socket.close()
        for worker in self.workers:
            if worker.pid:
                worker.end()
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def subreaper() -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
