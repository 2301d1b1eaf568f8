"""Whom a request goes to, how long, and when it is given up; no network."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

import snakepit
from snakepit import _attempts, _status, errors
from snakepit._attempts import Attempts

CODE = grpc.StatusCode


class Status(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str = "", **trailers: str) -> None:
        self._code, self._details, self._trailers = code, details, trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return tuple((f"x-snakepit-{key.replace('_', '-')}", value) for key, value in self._trailers.items())


def attempts(now: list[float], *, deduplicated: bool = True, budget_s: float = 30) -> Attempts:
    return Attempts(["a", "b", "c"], 1, budget_s, deduplicated=deduplicated, clock=lambda: now[0])


def test_the_nodes_come_in_turn_and_then_a_pause() -> None:
    asked = attempts([0.0])
    order = []
    pauses = []
    for _ in range(6):
        order.append(asked.target)
        pauses.append(asked.failed(Status(CODE.UNAVAILABLE)))
    assert order == ["b", "c", "a", "b", "c", "a"]
    assert [bool(pause) for pause in pauses] == [False, False, True, False, False, True]


def test_a_named_leader_is_next_where_it_is_known() -> None:
    asked = attempts([0.0])
    asked.failed(Status(CODE.UNAVAILABLE, leader="a"))
    assert asked.target == "a"
    asked.failed(Status(CODE.UNAVAILABLE, leader="elsewhere:1"))
    assert asked.target == "b"
    asked.failed(Status(CODE.UNAVAILABLE, leader="b"))
    assert asked.target == "c"


def test_one_budget_for_all() -> None:
    now = [0.0]
    asked = attempts(now, budget_s=8)
    assert asked.limit_s() == _attempts.ATTEMPT_TIMEOUT_S
    now[0] = 5
    asked.failed(Status(CODE.DEADLINE_EXCEEDED))
    assert asked.limit_s() == 3
    now[0] = 8
    with pytest.raises(errors.Unavailable) as caught:
        asked.failed(Status(CODE.UNAVAILABLE, "no leader", done="no"))
    # The attempt before may have been carried out.
    assert caught.value.maybe_done


@pytest.mark.parametrize(
    ("code", "deduplicated", "again"),
    [
        (CODE.UNAVAILABLE, False, True),
        (CODE.UNKNOWN, False, False),
        (CODE.UNKNOWN, True, True),
        (CODE.DEADLINE_EXCEEDED, True, True),
        (CODE.DEADLINE_EXCEEDED, False, False),
        (CODE.ABORTED, True, False),
        (CODE.INTERNAL, True, False),
    ],
)
def test_what_is_asked_again(code: grpc.StatusCode, deduplicated: bool, again: bool) -> None:
    asked = attempts([0.0], deduplicated=deduplicated)
    if again:
        assert asked.failed(Status(code)) == 0
    else:
        with pytest.raises(errors.SnakepitError):
            asked.failed(Status(code))


@pytest.mark.parametrize(("repeatable", "again"), [(False, False), (True, True)])
def test_a_call_under_way_is_repeated_where_it_may_be(repeatable: bool, again: bool) -> None:
    asked = Attempts(["a", "b"], 0, 30, deduplicated=False, repeatable=repeatable)
    assert asked.failed(Status(CODE.UNAVAILABLE, "failed to connect")) == 0
    broke = Status(CODE.UNAVAILABLE, "Socket closed")
    if again:
        assert asked.failed(broke) > 0
    else:
        with pytest.raises(errors.Unavailable) as caught:
            asked.failed(broke)
        assert caught.value.maybe_done


def test_a_lost_call_is_repeated_until_it_is_lost_for_good() -> None:
    asked = Attempts(["a", "b"], 0, 30, deduplicated=False, repeatable=True)
    assert asked.failed(Status(CODE.UNKNOWN, "worker died", error_kind="unknown", done="maybe")) == 0
    with pytest.raises(errors.Lost) as caught:
        asked.failed(Status(CODE.UNKNOWN, "is lost", error_kind="lost", done="maybe"))
    assert caught.value.maybe_done


def test_an_open_circuit_is_asked_of_each_node_once() -> None:
    asked = attempts([0.0], deduplicated=False)
    text = "its circuit is open; hint: not done, retry after 1500 ms, elsewhere at once"
    opened = Status(CODE.UNAVAILABLE, text, error_kind="circuit_open", done="no")
    assert [asked.failed(opened), asked.failed(opened)] == [0, 0]
    with pytest.raises(errors.CircuitOpen) as caught:
        asked.failed(opened)
    assert (caught.value.retry_after_s, caught.value.maybe_done) == (1.5, False)


@pytest.mark.parametrize(
    ("error", "kind", "maybe_done"),
    [
        (Status(CODE.PERMISSION_DENIED, "no", error_kind="denied", done="no"), errors.Denied, False),
        (Status(CODE.PERMISSION_DENIED, "no"), errors.Denied, False),
        (Status(CODE.ABORTED, "slow", error_kind="fell_behind"), errors.FellBehind, False),
        (Status(CODE.ABORTED, "other", error_kind="conflict"), errors.Conflict, False),
        (Status(CODE.UNAVAILABLE, "lost", done="maybe"), errors.Unavailable, True),
        (Status(CODE.UNAVAILABLE, "Socket closed", done="no"), errors.Unavailable, False),
        (Status(CODE.UNKNOWN, "odd", error_kind="something-new"), errors.Unknown, True),
        (Status(CODE.UNKNOWN, "ValueError: odd", error_kind="tool", done="maybe"), errors.ToolError, True),
        (Status(CODE.UNKNOWN, "is lost", error_kind="lost", done="maybe"), errors.Lost, True),
        (Status(CODE.FAILED_PRECONDITION, "gone", error_kind="worker_lost"), errors.WorkerLost, False),
        (Status(CODE.NOT_FOUND, "Program not found: variable"), errors.ProgramNotFoundError, False),
        (Status(CODE.NOT_FOUND, "no such tool", error_kind="not_found"), errors.NotFound, False),
    ],
)
def test_kinds_and_done(error: Status, kind: type[errors.SnakepitError], maybe_done: bool) -> None:
    failure = _status.failure_of(error)
    assert type(failure) is kind
    assert failure.maybe_done is maybe_done


def test_what_a_header_cannot_carry_is_named() -> None:
    client = snakepit.connect("127.0.0.1:1", principal="ada é")
    with client, pytest.raises(errors.Invalid, match="x-snakepit-principal is not printable ASCII"):
        client.ping()
