"""A worker whose thread reads the stream itself while its tools are quick; see `snakepit.worker._lead`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_node import FakeNode, Link


@pytest.fixture
def node() -> Iterator[FakeNode]:
    node = FakeNode()
    yield node
    node.close()


def quick(node: FakeNode) -> Link:
    """A worker with one slot that has just run some quick calls, one after the other."""
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="1", SNAKEPIT_WORKER_CREDITS="64")
    for number in range(50):
        assert link.ask("echo", value=number) == number
    return link


def test_all_calls_run_in_one_thread_whoever_reads(node: FakeNode) -> None:
    link = quick(node)
    threads = set()
    for _ in range(3):
        threads.add(link.ask("where", ms=0))
        threads.add(link.ask("nap", ms=30))
        for number in range(20):
            assert link.ask("echo", value=number) == number
    assert threads == {"snakepit-slot-0"}


def test_batches_are_answered_in_order(node: FakeNode) -> None:
    link = quick(node)
    for _ in range(20):
        sequences = link.call_many([("echo", {"value": number}) for number in range(60)])
        assert [link.value(sequence) for sequence in sequences] == list(range(60))
    answered = [result.sequence for message in link.messages for result in message.results.results]
    assert answered == sorted(answered)


def test_calls_that_come_one_by_one_are_answered_in_order(node: FakeNode) -> None:
    link = quick(node)
    for _ in range(20):
        # The thread finds one message, or several, or a part of one.
        sequences = [link.call("echo", value="x" * (number * 500)) for number in range(30)]
        assert [link.value(sequence) for sequence in sequences] == ["x" * (n * 500) for n in range(30)]
    answered = [result.sequence for message in link.messages for result in message.results.results]
    assert answered == sorted(answered)


def test_others_are_heard_while_a_call_takes_longer_than_it_used_to(node: FakeNode) -> None:
    link = quick(node)
    # `nap` is known as a quick one when it takes its time.
    for _ in range(10):
        link.ask("nap", ms=0)
    slow = link.call("nap", ms=500)
    time.sleep(0.05)
    behind = link.call("echo", value=1)
    link.cancel(behind)
    assert link.error(behind).type == "Cancelled"
    assert slow not in link.results
    assert link.ask("nap_async", ms=0) is not None
    assert link.value(slow) == "snakepit-slot-0"


def test_results_in_front_of_a_slow_call_do_not_wait_for_it(node: FakeNode) -> None:
    link = quick(node)
    for _ in range(10):
        link.ask("nap", ms=0)
    first, slow, last = link.call_many([("echo", {"value": 1}), ("nap", {"ms": 500}), ("echo", {"value": 2})])
    assert link.value(first) == 1
    assert slow not in link.results
    assert link.value(last) == 2


def test_what_is_no_quick_call_goes_to_the_loop(node: FakeNode) -> None:
    link = quick(node)
    streamed = link.call("count", stream=True, n=3)
    assert link.result(streamed).success
    assert len(link.chunks[streamed]) == 3
    assert link.error(link.call("no_such_tool")).type == "ToolNotFound"
    mixed = link.call_many([("echo", {"value": 1}), ("nap_async", {"ms": 1}), ("echo", {"value": 2})])
    assert [link.result(sequence).success for sequence in mixed] == [True] * 3
    late = link.call("echo", deadline_ms=1, value=5)
    assert link.result(late).error.type in ("", "DeadlineExceeded")


def test_beats_go_on_and_a_drain_is_heard(node: FakeNode) -> None:
    link = quick(node)
    beats = link.heartbeats
    ends = time.monotonic() + 0.4
    while time.monotonic() < ends:
        link.ask("echo", value=1)
    assert link.heartbeats > beats
    link.send(wire.ToWorker(drain=wire.Drain(deadline_ms=5000)))
    assert link.wait(lambda: link.goodbye)


def test_a_stream_that_breaks_is_dialled_again(node: FakeNode) -> None:
    link = quick(node)
    link.hang_up()
    again = node.links.get(timeout=10)
    again.go_on_from(link)
    for number in range(50):
        assert again.ask("echo", value=number) == number
