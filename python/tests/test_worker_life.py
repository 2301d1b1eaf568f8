"""A worker does not outlive its node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

from tests.fake_node import FakeNode, gone_within, is_alive

# Starts a worker as its child, prints its pid and hangs: a node whose death can be arranged.
_PARENT = """
import os, subprocess, sys, time
os.environ["SNAKEPIT_NODE_PID"] = str(os.getpid())
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(worker.pid, flush=True)
time.sleep(600)
"""
_WORKER = "import sys; sys.argv = ['worker']; from snakepit.worker.__main__ import main; main()"
# Without the kernel's help, so that the watchdog is what is seen.
_WITHOUT_PRCTL = "import sys; sys.platform = 'other'; " + _WORKER


def _orphaned(node: FakeNode, program: str, tool: str, **arguments: Any) -> float:
    """Kill the parent of a worker that runs `tool`; returns the seconds that the worker lived on."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, program],
        env=node.environment("tests.tools"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    node.workers.append(parent)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    try:
        link = node.links.get(timeout=10)
        link.call(tool, **arguments)
        assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
        began = time.monotonic()
        parent.kill()
        assert gone_within(pid, 5)
        return time.monotonic() - began
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_the_kernel_kills_it_with_its_parent(node: FakeNode) -> None:
    assert _orphaned(node, _WORKER, "nap", ms=60_000) < 1


def test_the_watchdog_sees_the_parent_go(node: FakeNode) -> None:
    assert _orphaned(node, _WITHOUT_PRCTL, "hog", seconds=60) < 1.5


def test_it_ends_with_its_stream_though_a_tool_runs(node: FakeNode) -> None:
    link, worker = node.start(SNAKEPIT_WORKER_RECONNECT_MS="0")
    link.call("nap", ms=60_000)
    assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    began = time.monotonic()
    link.hang_up()
    assert worker.wait(5) == 1
    assert time.monotonic() - began < 1.5


def test_it_does_not_start_under_another_parent(node: FakeNode) -> None:
    worker = node.spawn(SNAKEPIT_NODE_PID="1")
    _, err = worker.communicate(timeout=10)
    assert worker.returncode == 3
    assert b"is not the node" in err or b"and not the node" in err


def test_a_refused_token_is_said(node: FakeNode) -> None:
    worker = node.spawn(SNAKEPIT_WORKER_TOKEN="wrong")
    _, err = worker.communicate(timeout=10)
    assert worker.returncode == 1
    assert b"wrong token" in err


def test_a_node_that_is_not_there(node: FakeNode) -> None:
    worker = node.spawn(SNAKEPIT_WORKER_FRAMES=node.frames + ".none")
    _, err = worker.communicate(timeout=20)
    assert worker.returncode == 1
    assert b"refused the connection" in err
