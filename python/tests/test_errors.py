"""The exception tree, and its making from statuses."""

from __future__ import annotations

import grpc
import pytest

from snakepit import _status, errors

CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "kind", "maybe_done"),
    [
        (CODE.INVALID_ARGUMENT, "value 2.0 is above maximum 1", errors.Invalid, False),
        (CODE.NOT_FOUND, "Variable not found: x", errors.VariableNotFoundError, False),
        (CODE.NOT_FOUND, "Session not found: s", errors.SessionNotFoundError, False),
        (CODE.NOT_FOUND, "no such tool", errors.NotFound, False),
        (CODE.ALREADY_EXISTS, "x is a float", errors.AlreadyExists, False),
        (CODE.ABORTED, "version mismatch", errors.Conflict, False),
        (CODE.FAILED_PRECONDITION, "locked", errors.Refused, False),
        (CODE.RESOURCE_EXHAUSTED, "queue full", errors.Exhausted, False),
        (CODE.UNAVAILABLE, "no leader", errors.Unavailable, False),
        (CODE.UNAVAILABLE, "failed to connect to all addresses; Connection reset", errors.Unavailable, False),
        (CODE.UNAVAILABLE, "Socket closed", errors.Unavailable, True),
        (CODE.DEADLINE_EXCEEDED, "too late", errors.Unknown, True),
        (CODE.UNKNOWN, "lost", errors.Unknown, True),
        (CODE.DATA_LOSS, "checksum", errors.DataLoss, False),
        (CODE.UNIMPLEMENTED, "not here", errors.SnakepitError, False),
    ],
)
def test_status_to_error(
    code: grpc.StatusCode, details: str, kind: type[errors.SnakepitError], maybe_done: bool
) -> None:
    error = _status.from_status(code, details)
    assert type(error) is kind
    assert str(error) == details
    assert error.maybe_done is maybe_done
    assert error.hint


def test_a_status_without_words_is_named() -> None:
    assert str(_status.from_status(CODE.ABORTED, None)) == "ABORTED"
    assert isinstance(_status.from_status(None, None), errors.Unknown)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Variable not found: x", errors.VariableNotFoundError),
        ("x: version mismatch: expected 1, current is 2", errors.Conflict),
        ("variable is locked for optimization", errors.Refused),
        ("value 2.0 is above maximum 1", errors.Invalid),
        ("", errors.Invalid),
    ],
)
def test_refusal_to_error(text: str, kind: type[errors.SnakepitError]) -> None:
    assert type(_status.from_refusal(text)) is kind


def test_they_are_what_python_expects() -> None:
    assert issubclass(errors.Invalid, ValueError)
    assert issubclass(errors.VariableNotFoundError, KeyError)
    assert issubclass(errors.SessionNotFoundError, errors.NotFound)
    assert str(errors.VariableNotFoundError("no quotes")) == "no quotes"


def test_a_tools_error_keeps_its_parts() -> None:
    error = errors.ToolError("ValueError", "bad", "Traceback …")
    assert (str(error), error.type, error.tool_message, error.traceback) == (
        "ValueError: bad",
        "ValueError",
        "bad",
        "Traceback …",
    )


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.SnakepitError):
            assert name in (errors.__doc__ or "")
