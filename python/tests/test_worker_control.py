"""Deadlines, cancellation, drain."""

from __future__ import annotations

import signal
import time

from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_node import FakeNode, Link, terminate


def test_an_async_tool_is_cancelled(link: Link) -> None:
    nap = link.call("nap_async", ms=60_000)
    link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    link.cancel(nap)
    error = link.error(nap)
    assert (error.type, error.message) == ("Cancelled", "not wanted")


def test_a_call_that_has_not_begun_is_dropped(link: Link) -> None:
    first, second = link.call_many([("nap", {"ms": 300, "mark": "a"}), ("nap", {"ms": 0, "mark": "b"})])
    link.cancel(second)
    assert link.error(second).type == "Cancelled"
    assert first not in link.results
    link.value(first)
    assert link.ask("ran") == ["a"]


def test_a_sync_tool_that_runs_is_left_to_the_node(link: Link) -> None:
    nap = link.call("nap", ms=300)
    assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    link.cancel(nap)
    assert link.value(nap)


def test_cancel_of_what_is_unknown_does_nothing(link: Link) -> None:
    link.cancel(99)
    assert link.ask("echo", value=1) == 1


def test_deadlines(link: Link) -> None:
    began = time.monotonic()
    late = link.call("nap_async", ms=60_000, deadline_ms=200)
    assert link.error(late).type == "DeadlineExceeded"
    assert time.monotonic() - began < 5
    # One that waits in the queue past its deadline does not run.
    _, queued = link.call_many([("nap", {"ms": 300}), ("nap", {"ms": 0, "mark": "late"})], deadline_ms=100)
    assert link.error(queued).type == "DeadlineExceeded"
    assert "late" not in link.ask("ran")


def test_drain_finishes_what_is_here(node: FakeNode) -> None:
    link, worker = node.start()
    sequences = link.call_many([("nap", {"ms": 200}), ("nap_async", {"ms": 200}), ("echo", {"value": 3})])
    link.send(wire.ToWorker(drain=wire.Drain(deadline_ms=5000)))
    after = link.call("echo", value=4)
    assert link.wait(lambda: link.goodbye)
    assert all(sequence in link.results for sequence in sequences)
    assert after not in link.results
    link.hang_up()
    assert worker.wait(10) == 0


def test_drain_without_work(node: FakeNode) -> None:
    link, worker = node.start()
    link.send(wire.ToWorker(drain=wire.Drain()))
    assert link.wait(lambda: link.goodbye)
    # The node does not end the stream; the worker goes all the same.
    assert worker.wait(10) == 0


def test_drain_ends_at_its_deadline(node: FakeNode) -> None:
    link, worker = node.start()
    link.call("nap", ms=60_000)
    link.send(wire.ToWorker(drain=wire.Drain(deadline_ms=200)))
    assert worker.wait(5) == 1
    assert not link.goodbye


def test_sigterm_drains_and_sigint_does_nothing(node: FakeNode) -> None:
    link, worker = node.start()
    worker.send_signal(signal.SIGINT)
    nap = link.call("nap", ms=300)
    assert link.wait(lambda: any(m.heartbeat.running for m in link.messages))
    terminate(worker)
    assert worker.wait(10) == 0
    assert link.wait(lambda: link.goodbye)
    assert link.results[nap].success
