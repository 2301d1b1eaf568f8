"""Spans of OpenTelemetry, where that is installed and asked for."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from snakepit_bridge.telemetry._correlation import get_correlation_id


@contextlib.contextmanager
def otel_span(name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """A span around a block; None, and nothing else, without OpenTelemetry.

    Asked for by SNAKEPIT_ENABLE_OTLP or SNAKEPIT_OTEL_ENDPOINT; the exporter is the program's own to set up.
    """
    tracer = _tracer() if _is_asked() else None
    if tracer is None:
        yield None
        return
    about = dict(attributes or {}) | {"snakepit.correlation_id": get_correlation_id()}
    with tracer.start_as_current_span(name, attributes=about) as span:
        yield span


def _is_asked() -> bool:
    asked = os.environ.get("SNAKEPIT_ENABLE_OTLP", "").lower() in ("1", "true", "yes")
    return asked or bool(os.environ.get("SNAKEPIT_OTEL_ENDPOINT"))


@functools.cache
def _tracer() -> Any:
    try:
        trace = importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None
    return trace.get_tracer(os.environ.get("SNAKEPIT_SERVICE_NAME", "snakepit"))
