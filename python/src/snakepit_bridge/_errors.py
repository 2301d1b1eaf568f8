"""Errors that are both: of `snakepit.errors` by their kind, and gRPC's, as Snakepit's users catch them."""

from __future__ import annotations

import functools
from typing import Any, Final

import grpc

from snakepit import _status, errors

_CODES: Final[tuple[tuple[type[errors.SnakepitError], grpc.StatusCode], ...]] = (
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.Invalid, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.Conflict, grpc.StatusCode.ABORTED),
    (errors.Refused, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.DataLoss, grpc.StatusCode.DATA_LOSS),
)


class _Status(grpc.RpcError):
    """The half that is gRPC's."""

    _code = grpc.StatusCode.UNKNOWN

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """Its text."""
        return str(self)


class RemoteToolError(errors.ToolError, RuntimeError):
    """A tool that was called through the context failed; Snakepit's users catch RuntimeError."""


class BatchUpdateError(errors.Invalid):
    """Some updates of a batch were refused; `errors` says which, and why."""

    def __init__(self, failed: dict[str, str]) -> None:
        text = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
        super().__init__(f"batch update failed: {text}")
        self.errors = failed


def of_rpc(error: grpc.RpcError) -> Exception:
    """The error to raise for gRPC's."""
    if isinstance(error, errors.SnakepitError):
        return error
    code = _code_of(error)
    details = getattr(error, "details", None)
    text = details() if callable(details) else str(error)
    return of_failure(_status.from_status(code, text), code)


def of_failure(failure: errors.SnakepitError, code: grpc.StatusCode | None = None) -> Exception:
    """An error of ours, made catchable as gRPC's too."""
    if isinstance(failure, grpc.RpcError):
        return failure
    if code is None:
        code = _code_of(failure.__cause__)
    if code is None:
        code = next((c for kind, c in _CODES if isinstance(failure, kind)), grpc.StatusCode.UNKNOWN)
    of: Any = type(failure)
    kind = _both(of)
    # Kinds take different arguments; what they made of them is the same.
    made: Any = kind.__new__(kind, *failure.args)
    made.__dict__.update(failure.__dict__, _code=code)
    combined: Exception = made
    return combined


def of_refusal(text: str) -> Exception:
    """The error for an answer that says `success = false`."""
    return of_failure(_status.from_refusal(text))


@functools.cache
def _both(kind: Any) -> Any:
    # A missing session is a missing variable to who knows only of those.
    bases: tuple[type, ...] = (kind, _Status)
    if issubclass(kind, errors.SessionNotFoundError):
        bases = (kind, errors.VariableNotFoundError, _Status)
    return type(kind.__name__, bases, {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _code_of(error: BaseException | None) -> grpc.StatusCode | None:
    code = getattr(error, "code", None)
    found = code() if callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else None
