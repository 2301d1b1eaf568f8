"""Streaming tools and their credits."""

from __future__ import annotations

import json
import time

import pytest

from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_node import FakeNode, Link


def _credit(link: Link, sequence: int, credits: int) -> None:
    link.send(wire.ToWorker(chunk_credits=wire.ChunkCredits(sequence=sequence, credits=credits)))


@pytest.mark.parametrize("tool", ["count", "count_async"])
def test_chunks_wait_for_credits(node: FakeNode, tool: str) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="2")
    stream = link.call(tool, n=10, stream=True)
    assert link.wait(lambda: len(link.chunks.get(stream, [])) == 4)
    time.sleep(0.2)
    assert len(link.chunks[stream]) == 4
    # The tool is held up, one chunk ahead at most.
    assert link.ask("yielded") == 5
    _credit(link, stream, 2)
    assert link.wait(lambda: len(link.chunks[stream]) == 6)
    _credit(link, stream, 100)
    assert link.result(stream).success
    chunks = link.chunks[stream]
    assert [chunk.chunk_id for chunk in chunks] == [f"{tool}-{n}" for n in range(10)]
    if tool == "count":
        assert json.loads(chunks[9].data) == {"n": 9}
        assert [chunk.is_final for chunk in chunks] == [False] * 9 + [True]
    assert json.loads(chunks[4].data) == 4


@pytest.mark.parametrize("tool", ["count", "count_async"])
def test_a_stream_is_cancelled_while_it_waits(link: Link, tool: str) -> None:
    stream = link.call(tool, n=100, stream=True)
    assert link.wait(lambda: len(link.chunks.get(stream, [])) == 4)
    link.cancel(stream)
    assert link.error(stream).type == "Cancelled"
    assert len(link.chunks[stream]) == 4
    if tool == "count":
        assert link.ask("ran") == ["closed"]


def test_an_error_ends_a_stream(link: Link) -> None:
    stream = link.call("break_off", stream=True)
    error = link.error(stream)
    assert (error.type, error.message) == ("RuntimeError", "half way")
    assert len(link.chunks[stream]) == 1


@pytest.mark.parametrize("tool", ["count", "count_async"])
def test_a_generator_to_a_plain_call_is_an_error(link: Link, tool: str) -> None:
    error = link.error(link.call(tool, n=3))
    assert error.type == "Invalid"
    assert "call it with stream set" in error.message


def test_a_plain_value_streams_as_one_chunk(link: Link) -> None:
    stream = link.call("echo", value=[1], stream=True)
    assert link.result(stream).success
    assert [json.loads(chunk.data) for chunk in link.chunks[stream]] == [[1]]
