"""Events, and spans, which are two of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit_bridge.telemetry._backend import get_backend
from snakepit_bridge.telemetry._correlation import get_correlation_id


def emit(
    event: str | Sequence[str],
    measurements: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
) -> None:
    """Send an event, named by its parts or by them joined with dots. The id is the request's unless given."""
    parts = event.split(".") if isinstance(event, str) else list(event)
    get_backend().emit(
        pb.TelemetryEvent(
            event_parts=[str(part) for part in parts],
            measurements={str(name): _measure(value) for name, value in (measurements or {}).items()},
            metadata={str(name): str(value) for name, value in (metadata or {}).items()},
            timestamp_ns=time.time_ns(),
            correlation_id=correlation_id or get_correlation_id(),
        )
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


def _measure(value: Any) -> pb.TelemetryValue:
    if isinstance(value, bool):
        return pb.TelemetryValue(int_value=int(value))
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return pb.TelemetryValue(int_value=value)
    if isinstance(value, float):
        return pb.TelemetryValue(float_value=value)
    return pb.TelemetryValue(string_value=str(value))
