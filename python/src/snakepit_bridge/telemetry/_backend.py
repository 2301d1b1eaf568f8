"""Where events go."""

from __future__ import annotations

import json
import logging
from typing import Final, Protocol

from snakepit import telemetry as worker
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


class WorkerBackend:
    """Has the worker send each event to its node, where the node has asked for it."""

    def emit(self, event: pb.TelemetryEvent) -> None:
        """Hand it to the worker; nothing where this process is none."""
        sink = worker.sink()
        if sink is not None and sink.on and sink.wants(".".join(event.event_parts)):
            sink.take(event)


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
    backend: Backend | None = None


_LOG: Final = LogBackend()
_WORKER: Final = WorkerBackend()


def set_backend(backend: Backend | None) -> Backend:
    """Send events here from now on; returns the backend before.

    Where None: to the node in a worker, to the log elsewhere.
    """
    before = get_backend()
    _Chosen.backend = None if backend in (_LOG, _WORKER) else backend
    return before


def get_backend() -> Backend:
    """Where events go now."""
    if _Chosen.backend is not None:
        return _Chosen.backend
    return _LOG if worker.sink() is None else _WORKER


def is_silent() -> bool:
    """Whether an event would go nowhere, so that it need not be made."""
    sink = worker.sink()
    return _Chosen.backend is None and sink is not None and not sink.on
