"""Events, and spans, which are two of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snakepit import _events
from snakepit_bridge.telemetry._backend import get_backend, is_silent
from snakepit_bridge.telemetry._correlation import get_correlation_id


def emit(
    event: str | Sequence[str],
    measurements: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
) -> None:
    """Send an event, named by its parts or by them joined with dots. The id is the request's unless given."""
    if not is_silent():
        get_backend().emit(
            _events.event(event, measurements, metadata, correlation_id or get_correlation_id())
        )


@contextlib.contextmanager
def span(
    name: str, metadata: Mapping[str, Any] | None = None, correlation_id: str | None = None
) -> Iterator[dict[str, Any]]:
    """Send `<name>.start`; at the block's end `<name>.stop` or `<name>.exception`, with its duration in ns.

    What the block puts into the dict goes out with the last event.
    """
    about = dict(metadata or {})
    emit(f"{name}.start", {"system_time": time.time_ns()}, about, correlation_id)
    began = time.perf_counter_ns()
    try:
        yield about
    except BaseException as error:
        about |= {"error_type": type(error).__qualname__}
        emit(f"{name}.exception", {"duration": time.perf_counter_ns() - began}, about, correlation_id)
        raise
    emit(f"{name}.stop", {"duration": time.perf_counter_ns() - began}, about, correlation_id)
