"""gRPC statuses and refusal texts to exceptions: the one place that knows both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import grpc

from snakepit import errors

# Trailing metadata of errors: one word for the kind, `no` or `maybe`, and where the leader is.
ERROR_KIND: Final = "x-snakepit-error-kind"
DONE: Final = "x-snakepit-done"
LEADER: Final = "x-snakepit-leader"

_KINDS: dict[grpc.StatusCode, type[errors.SnakepitError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.Invalid,
    grpc.StatusCode.OUT_OF_RANGE: errors.Invalid,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Refused,
    grpc.StatusCode.PERMISSION_DENIED: errors.Denied,
    grpc.StatusCode.UNAUTHENTICATED: errors.Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Exhausted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unknown,
    grpc.StatusCode.UNKNOWN: errors.Unknown,
    grpc.StatusCode.INTERNAL: errors.Unknown,
    grpc.StatusCode.CANCELLED: errors.Unknown,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}

# What a node calls them; `not_found` is told apart by its text.
_NAMED: dict[str, type[errors.SnakepitError]] = {
    "invalid": errors.Invalid,
    "already_exists": errors.AlreadyExists,
    "conflict": errors.Conflict,
    "fell_behind": errors.FellBehind,
    "refused": errors.Refused,
    "denied": errors.Denied,
    "exhausted": errors.Exhausted,
    "unavailable": errors.Unavailable,
    "circuit_open": errors.CircuitOpen,
    "worker_lost": errors.WorkerLost,
    "unknown": errors.Unknown,
    "lost": errors.Lost,
}
# How long a circuit stays open, in the words of the node.
_RETRY_AFTER: Final = re.compile(r"\bretry after (\d+) ms")
# The kind of a status that tells of an exception in a streaming tool, whose text is `Type: message`.
_TOOL: Final = "tool"

# The words of gRPC's own UNAVAILABLE when a connection broke under a call that was already sent.
_BROKE_UNDER_WAY = (
    "socket closed",
    "connection reset",
    "connection aborted",
    "broken pipe",
    "stream removed",
    "goaway",
    "recvmsg",
    "keepalive",
    "transport closed",
)

# Codes after which the same request, with the same id, may be sent again.
RETRIED = frozenset({grpc.StatusCode.UNAVAILABLE})
RETRIED_WHERE_DEDUPLICATED = RETRIED | {
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
}


# Codes after which a watch is taken up again on another node.
RESUMED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
    }
)

# What a repeated request is told again.
OUTCOMES: Final = (errors.ToolError, errors.Lost)

_MISSING: Final = re.compile(r"\b(variable|session|program) not found")
_MISSING_KINDS: Final[dict[str, type[errors.NotFound]]] = {
    "variable": errors.VariableNotFoundError,
    "session": errors.SessionNotFoundError,
    "program": errors.ProgramNotFoundError,
}


def failure_of(error: grpc.RpcError) -> errors.SnakepitError:
    """Our exception for gRPC's."""
    code = code_of(error)
    if code is None:
        return errors.Unknown(str(error) or type(error).__name__)
    details = getattr(error, "details", None)
    return from_status(code, details() if callable(details) else None, trailers_of(error))


def code_of(error: BaseException | None) -> grpc.StatusCode | None:
    """The status; gRPC's errors have one in practice, though not by their type."""
    code = getattr(error, "code", None)
    found = code() if callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else None


def resumes(error: errors.SnakepitError) -> bool:
    """Whether a stream that ended with this error is to be taken up again on another node."""
    if isinstance(error, (errors.CircuitOpen, *OUTCOMES)):
        return False
    return code_of(error.__cause__) in RESUMED


def is_final(error: errors.SnakepitError) -> bool:
    """Whether a node has said so, and not a connection that broke or a node that is about to stop."""
    cause = error.__cause__
    said = trailers_of(cause).get(ERROR_KIND, "") if isinstance(cause, grpc.RpcError) else ""
    return said not in ("", "unavailable")


def trailers_of(error: grpc.RpcError) -> dict[str, str]:
    """The metadata behind an error; of the local ones, none."""
    trailing: Any = getattr(error, "trailing_metadata", None)
    found = trailing() if callable(trailing) else None
    return {str(key): value for key, value in found or () if isinstance(value, str)}


def from_status(
    code: grpc.StatusCode | None, details: str | None, trailers: Mapping[str, str] | None = None
) -> errors.SnakepitError:
    """The exception for a status; `maybe_done` is set where the request may have been carried out.

    What the node says in `trailers` goes before what the code suggests.
    """
    trailers = trailers or {}
    text = details or (code.name if code else "no status")
    maybe_done = {"no": False, "maybe": True}.get(trailers.get(DONE, ""))
    name = trailers.get(ERROR_KIND, "")
    if name == "not_found" or (code is grpc.StatusCode.NOT_FOUND and name not in _NAMED):
        return _not_found(text)
    if name == _TOOL:
        return _tool_error(text)
    kind = _NAMED.get(name) or (_KINDS.get(code, errors.SnakepitError) if code else errors.Unknown)
    if code is grpc.StatusCode.UNAVAILABLE and maybe_done is None:
        maybe_done = broke_under_way(text)
    failure = kind(text, maybe_done=maybe_done)
    if isinstance(failure, errors.CircuitOpen) and (after := _RETRY_AFTER.search(text)):
        failure.retry_after_s = int(after[1]) / 1000
    return failure


def from_refusal(text: str, kind: str = "") -> errors.SnakepitError:
    """The exception for an answer that says `success = false`; its text is the only ground without a kind."""
    if kind in _NAMED:
        return _NAMED[kind](text)
    lower = text.lower()
    if "not found" in lower:
        return _not_found(text)
    if "version" in lower and ("mismatch" in lower or "expected" in lower or "current" in lower):
        return errors.Conflict(text)
    if "denied" in lower or "not permitted" in lower:
        return errors.Denied(text)
    if "locked" in lower:
        return errors.Refused(text)
    return errors.Invalid(text or "refused without a reason")


def broke_under_way(details: str) -> bool:
    """True where UNAVAILABLE came from a connection that broke after the request was sent."""
    lower = details.lower()
    if "failed to connect" in lower:
        return False
    return any(words in lower for words in _BROKE_UNDER_WAY)


def _tool_error(text: str) -> errors.ToolError:
    kind, colon, message = text.partition(": ")
    if colon and kind.replace(".", "_").isidentifier():
        return errors.ToolError(kind, message)
    return errors.ToolError("ToolError", text)


def _not_found(text: str) -> errors.NotFound:
    lower = text.lower()
    named = _MISSING.search(lower)
    if named:
        return _MISSING_KINDS[named[1]](text)
    kinds = (kind for word, kind in _MISSING_KINDS.items() if word in lower)
    return next(kinds, errors.NotFound)(text)
