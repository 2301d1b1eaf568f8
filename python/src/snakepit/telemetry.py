"""Events and spans of tools: a node that asks for them gets them from its workers.

Outside of a worker, and until the node asks, they cost next to nothing and go nowhere. Names are texts with
dots, or sequences of their parts. Correlation ids come with a call's metadata, `correlation_id`, and go out
with its events and its callbacks.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, Protocol

from snakepit import _events
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._running import current

__all__ = [
    "correlation",
    "emit",
    "get_correlation_id",
    "new_correlation_id",
    "reset_correlation_id",
    "set_correlation_id",
    "span",
]

_own: Final[ContextVar[str]] = ContextVar("snakepit_correlation_id", default="")


class Sink(Protocol):
    """Takes events, from any thread. Must neither wait nor raise."""

    @property
    def on(self) -> bool:
        """Whether anybody listens."""
        ...

    def wants(self, name: str) -> bool:
        """Whether an event of this name is taken."""
        ...

    def take(self, event: pb.TelemetryEvent) -> None:
        """Take one that is wanted."""
        ...


class _Chosen:
    sink: Sink | None = None


def emit(
    event: str | Sequence[str],
    measurements: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    correlation_id: str = "",
) -> None:
    """Send an event: numbers in `measurements`, texts in `metadata`. Never waits; dropped where 1,024 wait.

    The correlation id is the call's unless given.
    """
    sink = _Chosen.sink
    if sink is None or not sink.on:
        return
    if sink.wants(event if isinstance(event, str) else ".".join(event)):
        sink.take(_events.event(event, measurements, metadata, correlation_id or get_correlation_id()))


@contextlib.contextmanager
def span(name: str, **metadata: Any) -> Iterator[dict[str, Any]]:
    """Send `<name>.start`, and at the block's end `<name>.stop` or `<name>.exception`, with `duration` in ns.

    What the block puts into the dict goes out with the last event.
    """
    about = dict(metadata)
    emit(f"{name}.start", {"system_time": time.time_ns()}, about)
    began = time.perf_counter_ns()
    try:
        yield about
    except BaseException as error:
        about["error_type"] = type(error).__qualname__
        emit(f"{name}.exception", {"duration": time.perf_counter_ns() - began}, about)
        raise
    emit(f"{name}.stop", {"duration": time.perf_counter_ns() - began}, about)


def get_correlation_id() -> str:
    """What was set here, else that of the call that runs; empty where there is none."""
    own = _own.get()
    if own:
        return own
    call = current.get()
    return "" if call is None else call.correlation_id


def set_correlation_id(correlation_id: str) -> Token[str]:
    """Set it for this thread or task; the token takes it back."""
    return _own.set(correlation_id)


def reset_correlation_id(token: Token[str]) -> None:
    """Take back what `set_correlation_id` did."""
    _own.reset(token)


def new_correlation_id() -> str:
    """One that nobody else has."""
    return uuid.uuid4().hex


@contextlib.contextmanager
def correlation(correlation_id: str = "") -> Iterator[str]:
    """Run a block under an id, a new one where none is given."""
    chosen = correlation_id or new_correlation_id()
    token = set_correlation_id(chosen)
    try:
        yield chosen
    finally:
        reset_correlation_id(token)


def send_to(sink: Sink | None) -> None:
    """Have events taken there; the worker's own matter."""
    _Chosen.sink = sink


def sink() -> Sink | None:
    """Where events go."""
    return _Chosen.sink
