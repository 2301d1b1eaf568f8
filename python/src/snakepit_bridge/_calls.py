"""One call on whatever stub there is: a generated one over a channel, a worker's own, or a test's."""

from __future__ import annotations

import inspect
from typing import Any, Final

import grpc

from snakepit_bridge import _errors

# A node answers state calls much sooner; without a limit a lost one would wait for ever.
STATE_TIMEOUT_S: Final = 30.0
# Tools take what they take; the caller's own deadline is what bounds them.
TOOL_TIMEOUT_S: Final = 86_400.0
CORRELATION_HEADER: Final = "x-snakepit-correlation-id"
_ARRAYS_RAW: Final = ("x-snakepit-arrays", "raw")
_READS: Final = frozenset(("GetVariable", "GetVariables", "ListVariables"))


class TimedCall:
    """A call that takes a time limit and metadata, as gRPC's do; other callables get the request alone."""


def ask(
    stub: Any, name: str, request: Any, *, timeout_s: float | None = STATE_TIMEOUT_S, correlation: str = ""
) -> Any:
    """The answer. Raises errors that are of `snakepit.errors` and of gRPC at once."""
    call = getattr(stub, name)
    options: dict[str, Any] = {}
    if isinstance(call, (grpc.UnaryUnaryMultiCallable, TimedCall)):
        metadata = [(CORRELATION_HEADER, correlation)] if correlation else []
        if name in _READS:
            metadata.append(_ARRAYS_RAW)
        options = {"timeout": timeout_s, "metadata": tuple(metadata)}
    try:
        answer = call(request, **options)
    except grpc.RpcError as error:
        raise _errors.of_rpc(error) from error
    if inspect.isawaitable(answer):
        close = getattr(answer, "close", None) or getattr(answer, "cancel", None)
        if close is not None:
            close()
        raise TypeError("a SessionContext needs the stub of a sync channel; this one is of grpc.aio")
    return answer
