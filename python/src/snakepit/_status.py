"""gRPC statuses and refusal texts to exceptions: the one place that knows both."""

from __future__ import annotations

import grpc

from snakepit import errors

_KINDS: dict[grpc.StatusCode, type[errors.SnakepitError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.Invalid,
    grpc.StatusCode.OUT_OF_RANGE: errors.Invalid,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Refused,
    grpc.StatusCode.PERMISSION_DENIED: errors.Refused,
    grpc.StatusCode.UNAUTHENTICATED: errors.Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Exhausted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unknown,
    grpc.StatusCode.UNKNOWN: errors.Unknown,
    grpc.StatusCode.INTERNAL: errors.Unknown,
    grpc.StatusCode.CANCELLED: errors.Unknown,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}

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


def from_status(code: grpc.StatusCode | None, details: str | None) -> errors.SnakepitError:
    """The exception for a status; `maybe_done` is set where the request may have been carried out."""
    text = details or (code.name if code else "no status")
    if code is grpc.StatusCode.NOT_FOUND:
        return _not_found(text)
    kind = _KINDS.get(code, errors.SnakepitError) if code else errors.Unknown
    if code is grpc.StatusCode.UNAVAILABLE:
        return kind(text, maybe_done=broke_under_way(text))
    return kind(text)


def from_refusal(text: str) -> errors.SnakepitError:
    """The exception for an answer that says `success = false`, whose only ground is its text."""
    lower = text.lower()
    if "not found" in lower:
        return _not_found(text)
    if "version" in lower and ("mismatch" in lower or "expected" in lower or "current" in lower):
        return errors.Conflict(text)
    if "locked" in lower:
        return errors.Refused(text)
    return errors.Invalid(text or "refused without a reason")


def broke_under_way(details: str) -> bool:
    """True where UNAVAILABLE came from a connection that broke after the request was sent."""
    lower = details.lower()
    if "failed to connect" in lower:
        return False
    return any(words in lower for words in _BROKE_UNDER_WAY)


def _not_found(text: str) -> errors.NotFound:
    lower = text.lower()
    if "variable" in lower:
        return errors.VariableNotFoundError(text)
    if "session" in lower:
        return errors.SessionNotFoundError(text)
    return errors.NotFound(text)
