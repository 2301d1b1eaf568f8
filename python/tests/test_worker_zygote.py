"""Workers forked off a process that has imported everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_node import FakeNode, Link, gone_within, is_alive
from tests.zygote import Zygote, subreaper


@pytest.fixture
def zygote(node: FakeNode) -> Iterator[Zygote]:
    with subreaper():
        zygote = Zygote(node)
        try:
            yield zygote
        finally:
            zygote.close()


def _link(node: FakeNode) -> Link:
    return node.links.get(timeout=20)


def test_sixteen_workers_each_run_a_call(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    began = time.monotonic()
    for number in range(16):
        zygote.begin(f"w{number}")
    workers = [zygote.finish(number) for number in range(16)]
    links = [_link(node) for _ in range(16)]
    took_s = time.monotonic() - began
    assert {link.ask("echo", value=n) for n, link in enumerate(links)} == set(range(16))
    assert {link.hello.worker_id for link in links} == {f"w{n}" for n in range(16)}
    assert {link.hello.pid for link in links} == {worker.pid for worker in workers}
    # Callbacks are calls of gRPC on a channel of their own.
    for link in links:
        assert link.value(link.call("put", session="s1", name="x", value=1)) == "s1"
    print(f"16 workers in {took_s:.2f} s")
    assert took_s < 8


def test_a_forked_worker_is_a_process_of_its_own(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    first = zygote.fork("w1", SNAKEPIT_MARK="here")
    assert os.getpgid(first.pid) == first.pid
    link = _link(node)
    facts = link.ask("facts", name="SNAKEPIT_MARK")
    assert facts["pid"] == facts["group"] == first.pid
    assert facts["parent"] == os.getpid()
    assert facts["mark"] == "here"
    assert facts["argv"] == ["--adapter", "tests.tools"]
    assert facts["stdin"] == "/dev/null"
    assert facts["ignored"] == []
    assert facts["collects"]
    assert Path(f"/proc/{first.pid}/comm").read_text() == "snakepit-worker\n"
    # Neither the zygote's socket nor what it got for others.
    second = zygote.fork("w2", SNAKEPIT_MARK=None)
    other = _link(node)
    others = other.ask("facts", name="SNAKEPIT_MARK")
    assert others["mark"] is None
    assert others["random"] != facts["random"]
    held = {os.readlink(f"/proc/{first.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{first.pid}/fd")}
    again = {os.readlink(f"/proc/{second.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{second.pid}/fd")}
    assert not {name for name in held & again if name.startswith(("socket:", "pipe:"))}


def test_its_output_goes_where_the_node_said(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    worker = zygote.fork("w1")
    _link(node).ask("say", text="hello")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
    out, err = worker.output()
    assert out == b""
    assert b"hello" in err


def test_settings_that_are_wrong_end_the_worker_not_the_zygote(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    worker = zygote.fork("w1", SNAKEPIT_WORKER_SLOTS="0")
    assert worker.wait() == 2
    assert b"SNAKEPIT_WORKER_SLOTS is '0'" in worker.output()[1]
    worker = zygote.fork("w2", SNAKEPIT_NODE_PID="1")
    assert worker.wait() == 3
    worker = zygote.fork("w2", SNAKEPIT_NODE_PID=None)
    assert worker.wait() == 2
    assert b"SNAKEPIT_NODE_PID is not set" in worker.output()[1]
    assert zygote.fork("w3").pid
    assert _link(node).ask("echo", value=1) == 1


@pytest.mark.parametrize(
    ("request_", "descriptors", "complaint"),
    [
        (b"{", 2, "not JSON"),
        (b"[]", 2, "no JSON object"),
        (b"{}", 1, "2 descriptors, not 1"),
        (b"{}", 3, "2 descriptors, not 3"),
        (b'{"env": {"A": 1}}', 2, "texts and nulls"),
        (b'{"adapter": 1}', 2, "no text"),
    ],
)
def test_bad_requests_are_answered(zygote: Zygote, request_: bytes, descriptors: int, complaint: str) -> None:
    assert zygote.ready()
    before = len(os.listdir(f"/proc/{zygote.process.pid}/fd"))
    assert complaint in zygote.ask(request_, [1] * descriptors)["error"]
    assert len(os.listdir(f"/proc/{zygote.process.pid}/fd")) == before


def test_it_is_one_thread_and_leaves_no_zombies(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    pid = zygote.process.pid
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    zygote.fork("w1")
    _link(node)
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
    os.kill(pid, signal.SIGINT)
    assert zygote.fork("w2").pid


def test_it_ends_with_its_socket_and_workers_live_on(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    worker = zygote.fork("w1")
    link = _link(node)
    zygote.socket.close()
    assert zygote.process.wait(5) == 0
    assert is_alive(worker.pid)
    assert link.ask("echo", value=1) == 1


def test_workers_outlive_a_zygote_that_is_killed(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    worker = zygote.fork("w1")
    link = _link(node)
    zygote.process.kill()
    assert gone_within(zygote.process.pid, 5)
    assert link.ask("echo", value=1) == 1
    assert is_alive(worker.pid)


def test_preload(node: FakeNode) -> None:
    with subreaper():
        zygote = Zygote(node, ["--preload", "--adapter", "tests.tools"])
        try:
            assert zygote.ready()
            zygote.fork("w1")
            assert _link(node).ask("echo", value=1) == 1
        finally:
            zygote.close()


def test_what_does_not_preload_is_said(node: FakeNode) -> None:
    zygote = Zygote(node, ["--preload", "--adapter", "tests.nowhere.Adapter"])
    assert zygote.process.wait(20) == 2
    assert zygote.process.stderr is not None
    assert b"there is no module tests.nowhere" in zygote.process.stderr.read()
    zygote.close()


def test_a_request_may_be_large(node: FakeNode, zygote: Zygote) -> None:
    assert zygote.ready()
    zygote.fork("w1", SNAKEPIT_MARK="x" * 100_000)
    assert len(_link(node).ask("facts", name="SNAKEPIT_MARK")["mark"]) == 100_000


# A node of its own: adopts what the zygote forks, says the worker's pid, and hangs.
_NODE = """
import ctypes, json, os, socket, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
os.environ["SNAKEPIT_NODE_PID"] = str(os.getpid())
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
zygote = subprocess.Popen([sys.executable, "-m", "snakepit.worker", "--zygote"], stdin=theirs.fileno())
theirs.close()
assert json.loads(ours.recv(4096)) == {"ready": True}
null = os.open(os.devnull, os.O_WRONLY)
socket.send_fds(ours, [b"{}"], [null, null])
print(json.loads(ours.recv(4096))["pid"], zygote.pid, flush=True)
time.sleep(600)
"""


def test_forked_workers_die_with_the_node(node: FakeNode) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _NODE],
        env=node.environment("tests.tools"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    node.workers.append(parent)
    assert parent.stdout is not None
    worker, zygote = map(int, parent.stdout.readline().split())
    link = _link(node)
    link.call("nap", ms=60_000)
    assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    assert is_alive(worker)
    parent.kill()
    assert gone_within(worker, 1.5)
    assert gone_within(zygote, 1.5)
