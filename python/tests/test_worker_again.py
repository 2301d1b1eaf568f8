"""A stream that breaks is dialled again, with what runs and what is not sent yet."""

from __future__ import annotations

import time

from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_node import FakeNode, Link, terminate


def _runs(link: Link, count: int = 1) -> bool:
    return link.wait(lambda: any(m.heartbeat.running >= count for m in link.messages))


def _next(node: FakeNode, before: Link) -> Link:
    link = node.links.get(timeout=10)
    link.go_on_from(before)
    return link


def test_what_runs_goes_on_over_a_new_stream(node: FakeNode) -> None:
    link, worker = node.start(SNAKEPIT_WORKER_SLOTS="2")
    assert (link.hello.again, list(link.hello.held)) == (False, [])
    done = link.call("echo", value=1)
    link.value(done)
    sequences = link.call_many(
        [("nap", {"ms": 700}), ("nap_async", {"ms": 700}), ("nap", {"ms": 1, "mark": "queued"})]
    )
    assert _runs(link, 2)
    link.hang_up()
    again = _next(node, link)
    assert again.hello.again
    assert list(again.hello.held) == sequences
    assert (again.hello.worker_id, again.hello.token, again.hello.pid) == ("w1", "secret", worker.pid)
    for sequence in sequences:
        assert again.result(sequence).success
    assert done not in again.results
    assert again.ask("echo", value=2) == 2
    # And once more.
    again.hang_up()
    third = _next(node, again)
    assert list(third.hello.held) == []
    assert third.ask("echo", value=3) == 3
    terminate(worker)
    assert worker.wait(10) == 0


def test_results_of_the_time_between_are_kept(node: FakeNode) -> None:
    link, worker = node.start()
    nap = link.call("nap", ms=600)
    assert _runs(link)
    node.stop_listening()
    time.sleep(1.2)
    assert worker.poll() is None
    node.listen()
    again = _next(node, link)
    assert list(again.hello.held) == [nap]
    assert again.value(nap)


def test_it_gives_up_in_time(node: FakeNode) -> None:
    _, worker = node.start(SNAKEPIT_WORKER_RECONNECT_MS="700")
    began = time.monotonic()
    node.stop_listening()
    assert worker.wait(10) == 1
    assert 0.6 < time.monotonic() - began < 5
    assert b"did not take this worker back within 700 ms" in worker.communicate()[1]


def test_a_node_that_says_no_is_not_asked_again(node: FakeNode) -> None:
    link, worker = node.start(SNAKEPIT_WORKER_RECONNECT_MS="60000")
    node.token = "another"
    link.hang_up()
    assert worker.wait(10) == 1
    assert b"wrong token" in worker.communicate()[1]


def test_a_stream_with_chunks_on_the_way_is_lost(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="4")
    open_, kept = link.call("count", n=50, stream=True), link.call("count_async", n=50, stream=True)
    assert link.wait(lambda: len(link.chunks.get(open_, ())) == len(link.chunks.get(kept, ())) == 4)
    # All chunks of the second are taken, and it has no room for more.
    asleep = link.call("count_slowly", n=2, ms=1500, stream=True)
    assert link.wait(lambda: len(link.chunks.get(asleep, ())) == 1)
    link.send(wire.ToWorker(chunk_credits=wire.ChunkCredits(sequence=asleep, credits=1)))
    link.ask("echo", value=1)
    link.hang_up()
    again = _next(node, link)
    assert list(again.hello.held) == [asleep]
    assert again.result(asleep).success
    assert [chunk.chunk_id for chunk in again.chunks[asleep]] == ["count_slowly-1"]
    # Their slots are free.
    assert len({again.value(n) for n in again.call_many([("nap", {"ms": 200})] * 3)}) == 3
    assert open_ not in again.results
    assert kept not in again.results


def test_a_drain_outlives_its_stream(node: FakeNode) -> None:
    link, worker = node.start()
    nap = link.call("nap", ms=500)
    assert _runs(link)
    link.send(wire.ToWorker(drain=wire.Drain(deadline_ms=60_000)))
    time.sleep(0.1)
    link.hang_up()
    again = _next(node, link)
    assert again.value(nap)
    assert again.wait(lambda: again.goodbye)
    assert worker.wait(10) == 0


def test_a_node_that_hangs_up_at_once_is_not_dialled_without_pause(node: FakeNode) -> None:
    link, worker = node.start()
    for _ in range(5):
        link.hang_up()
        link = _next(node, link)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 1:
        link.hang_up()
        link = _next(node, link)
        count += 1
    assert count <= 11
    assert worker.poll() is None
