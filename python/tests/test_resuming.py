"""Where a reader of a stream goes on, without a node."""

from __future__ import annotations

import grpc
import pytest

from snakepit import errors
from snakepit._ops import tools
from snakepit._ops.tools import ToolChunk
from snakepit._resuming import RESUME_S, Resuming
from tests.test_attempts import Status

CODE = grpc.StatusCode


def resuming(now: list[float]) -> Resuming:
    return Resuming(tools.stream("count", {"to": 9}, "s1"), 60.0, nodes=2, clock=lambda: now[0])


def failure(error: Status) -> errors.SnakepitError:
    from snakepit import _status

    made = _status.failure_of(error)
    made.__cause__ = error
    return made


def chunk(number: int, call_id: str = "c1") -> ToolChunk:
    return ToolChunk(number, number, call_id, {})


def test_it_goes_on_behind_the_last_chunk() -> None:
    stream = resuming([0.0])
    assert (stream.call_id, stream.number) == ("", -1)
    stream.took(chunk(0))
    stream.took(chunk(1))
    assert stream.broke(failure(Status(CODE.UNAVAILABLE, "Socket closed"))) == 0
    request = stream.call.request
    assert (request.resume_call_id, request.resume_from) == ("c1", 2)
    assert (request.tool_name, request.session_id, request.stream) == ("count", "s1", True)
    # What ran it again has a call of its own, and the same numbers.
    stream.took(chunk(2, "c2"))
    stream.broke(failure(Status(CODE.UNAVAILABLE, "Socket closed")))
    assert (stream.call.request.resume_call_id, stream.call.request.resume_from) == ("c2", 3)


def test_a_stream_that_has_not_begun_is_not_begun_again() -> None:
    with pytest.raises(errors.Unavailable, match="Socket closed"):
        resuming([0.0]).broke(failure(Status(CODE.UNAVAILABLE, "Socket closed")))


def test_an_outcome_is_an_outcome() -> None:
    stream = resuming([0.0])
    stream.took(chunk(0))
    with pytest.raises(errors.ToolError):
        stream.broke(failure(Status(CODE.UNKNOWN, "ValueError: odd", error_kind="tool", done="maybe")))


def test_where_nothing_is_in_the_log_the_first_error_counts() -> None:
    stream = resuming([0.0])
    stream.took(chunk(0))
    stream.broke(failure(Status(CODE.UNAVAILABLE, "Socket closed")))
    with pytest.raises(errors.Unavailable, match="Socket closed"):
        stream.broke(failure(Status(CODE.INVALID_ARGUMENT, "no stream of call c1", error_kind="invalid")))


def test_nodes_that_do_not_answer_are_asked_for_a_while() -> None:
    now = [0.0]
    stream = resuming(now)
    stream.took(chunk(0))
    stream.broke(failure(Status(CODE.UNAVAILABLE, "Socket closed")))
    assert stream.broke(failure(Status(CODE.UNAVAILABLE, "failed to connect"))) == 0
    assert stream.broke(failure(Status(CODE.UNAVAILABLE, "no leader", error_kind="unavailable"))) > 0
    now[0] = RESUME_S
    with pytest.raises(errors.Unavailable, match="Socket closed"):
        stream.broke(failure(Status(CODE.UNAVAILABLE, "failed to connect")))


def test_a_stream_that_is_lost_for_good_is_not_asked_for_again() -> None:
    stream = resuming([0.0])
    stream.took(chunk(0))
    with pytest.raises(errors.Lost):
        stream.broke(failure(Status(CODE.UNKNOWN, "was lost", error_kind="lost", done="maybe")))


def test_a_stream_that_may_not_run_twice_says_so() -> None:
    stream = resuming([0.0])
    stream.took(chunk(0))
    stream.broke(failure(Status(CODE.UNAVAILABLE, "Socket closed")))
    with pytest.raises(errors.Unknown, match="was lost"):
        stream.broke(failure(Status(CODE.UNKNOWN, "was lost", error_kind="unknown", done="maybe")))
