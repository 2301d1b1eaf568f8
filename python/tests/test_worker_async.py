"""Async tools have a loop of their own; concurrency as the pool asks for it."""

from __future__ import annotations

import time

import pytest

from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_node import FakeNode, Link


def test_a_blocked_loop_blocks_nothing_else(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="3")
    block = link.call("block_async", seconds=3)
    assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    began, before = time.monotonic(), link.heartbeats
    # Sync calls are answered, and what has not begun is cancelled.
    assert link.ask("echo", value=1) == 1
    queued = link.call_many([("nap", {"ms": 600})] * 2 + [("echo", {"value": 2})])
    link.cancel(queued[2])
    assert link.error(queued[2]).type == "Cancelled"
    # One that waits for the loop is too, and its deadline holds once the loop is free.
    assert time.monotonic() - began < 2
    link.wait(lambda: False, 0.5)
    assert link.heartbeats >= before + 5
    assert block not in link.results
    assert link.value(block) == 3
    late = link.call("block_async", seconds=0.3, deadline_ms=100)
    assert late in link.results or link.wait(lambda: late in link.results)


def test_an_async_call_cancelled_at_once_is_answered(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="50", SNAKEPIT_WORKER_CREDITS="100")
    for _ in range(10):
        sequences = link.call_many([("nap_async", {"ms": 60_000})] * 5)
        link.cancel(*sequences)
        assert {link.error(sequence).type for sequence in sequences} == {"Cancelled"}


def test_a_backlog_of_async_calls_keeps_to_the_slots(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="2")
    naps = link.call_many([("nap_async", {"ms": 300})] * 5)
    behind = link.call("nap", ms=1)
    assert link.wait(lambda: naps[1] in link.results)
    assert not any(n in link.results for n in (*naps[2:], behind))
    # Those that wait for a slot are cancelled though they are with the loop already.
    link.cancel(naps[4])
    assert link.error(naps[4]).type == "Cancelled"
    assert link.value(naps[3])
    assert link.value(behind)
    late = link.call_many(
        [("block_async", {"seconds": 0.5})] * 2 + [("nap_async", {"ms": 1})], deadline_ms=200
    )
    assert link.error(late[2]).type == "DeadlineExceeded"


def test_async_tools_run_in_one_loop_and_not_the_connections(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="2")
    names = {link.ask("thread_async") for _ in range(3)}
    assert names == {"snakepit-async"}


def test_asyncio_runs_async_tools_at_once_and_sync_ones_in_turn(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="4", SNAKEPIT_WORKER_CONCURRENCY="asyncio")
    assert (link.hello.concurrency, link.hello.slots, link.hello.gil) == ("asyncio", 4, True)
    began = time.monotonic()
    naps = link.call_many([("nap_async", {"ms": 400})] * 4)
    # All slots are taken, and sync tools have a thread beside them.
    names = {link.value(n) for n in link.call_many([("nap", {"ms": 100})] * 3)}
    assert len(names) == 1
    assert not any(n in link.results for n in naps) or time.monotonic() - began >= 0.4
    for nap in naps:
        link.value(nap)
    assert time.monotonic() - began < 1.5
    five = link.call_many([("nap_async", {"ms": 300})] * 5)
    assert link.wait(lambda: sum(n in link.results for n in five) == 4)
    assert link.value(five[4])


@pytest.mark.parametrize(
    ("settings", "concurrency"),
    [
        ({}, "process"),
        ({"SNAKEPIT_WORKER_SLOTS": "2"}, "thread"),
        ({"SNAKEPIT_WORKER_CONCURRENCY": "process"}, "process"),
        ({"SNAKEPIT_WORKER_CONCURRENCY": "thread", "SNAKEPIT_WORKER_SLOTS": "2"}, "thread"),
    ],
)
def test_hello_says_how_slots_run(node: FakeNode, settings: dict[str, str], concurrency: str) -> None:
    assert node.start(**settings)[0].hello.concurrency == concurrency


@pytest.mark.parametrize(
    ("adapter", "concurrency", "slots", "complaint"),
    [
        ("tests.tools", "process", "2", b"'process', which has one slot"),
        ("tests.tools", "fibres", "1", b"'fibres'; it is one of process, thread, asyncio"),
        ("tests.adapters.Unsafe", "thread", "2", b"says __thread_safe__ = False"),
        ("tests.adapters.Plain", "thread", "2", b"does not declare __thread_safe__ = True"),
    ],
)
def test_what_threads_cannot_run_is_refused(
    node: FakeNode, adapter: str, concurrency: str, slots: str, complaint: bytes
) -> None:
    worker = node.spawn(adapter, SNAKEPIT_WORKER_CONCURRENCY=concurrency, SNAKEPIT_WORKER_SLOTS=slots)
    _, err = worker.communicate(timeout=20)
    assert worker.returncode == 2
    assert complaint in err


def test_what_says_it_is_safe_runs_on_threads(node: FakeNode) -> None:
    settings = {"SNAKEPIT_WORKER_CONCURRENCY": "thread", "SNAKEPIT_WORKER_SLOTS": "2"}
    link, _ = node.start("tests.adapters.SafePlain", **settings)
    assert link.hello.concurrency == "thread"
    unsafe, _ = node.start("tests.adapters.Unsafe", SNAKEPIT_WORKER_CONCURRENCY="asyncio")
    assert unsafe.ask("one") == 1


def test_async_hooks_run_on_the_tools_loop(node: FakeNode) -> None:
    link, _ = node.start("tests.adapters.Hooked")
    assert link.ask("threads") == ["snakepit-async"]
    per_worker, _ = node.start("tests.adapters.Hooked", SNAKEPIT_WORKER_INSTANCE="worker")
    assert per_worker.ask("threads") == ["snakepit-async"]


def _has_chunks(link: Link, stream: int, count: int) -> bool:
    return link.wait(lambda: len(link.chunks.get(stream, [])) == count)


def test_credits_reach_the_other_loop(link: Link) -> None:
    stream = link.call("count_async", n=500, stream=True)
    for given in range(4, 500, 31):
        assert _has_chunks(link, stream, given)
        link.send(wire.ToWorker(chunk_credits=wire.ChunkCredits(sequence=stream, credits=31)))
    assert link.result(stream).success
    assert len(link.chunks[stream]) == 500
