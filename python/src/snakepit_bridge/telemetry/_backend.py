"""Where events go."""

from __future__ import annotations

import json
import logging
from typing import Final, Protocol

from snakepit._proto import snakepit_bridge_pb2 as pb

logger: Final = logging.getLogger("snakepit.telemetry")


class Backend(Protocol):
    """Takes events, from any thread. Must neither wait nor raise."""

    def emit(self, event: pb.TelemetryEvent) -> None:
        """Take one."""
        ...


class LogBackend:
    """Writes each event to the log, at the level `info`."""

    def emit(self, event: pb.TelemetryEvent) -> None:
        """Write one line."""
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", json.dumps(as_dict(event)))


def as_dict(event: pb.TelemetryEvent) -> dict[str, object]:
    """An event as JSON has it."""
    return {
        "event": ".".join(event.event_parts),
        "measurements": {
            name: getattr(value, value.WhichOneof("value") or "int_value")
            for name, value in event.measurements.items()
        },
        "metadata": dict(event.metadata),
        "timestamp_ns": event.timestamp_ns,
        "correlation_id": event.correlation_id,
    }


class _Chosen:
    backend: Backend = LogBackend()


def set_backend(backend: Backend | None) -> Backend:
    """Send events here from now on, the log where None; returns the backend before."""
    before = _Chosen.backend
    _Chosen.backend = LogBackend() if backend is None else backend
    return before


def get_backend() -> Backend:
    """Where events go now."""
    return _Chosen.backend
