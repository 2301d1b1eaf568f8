"""Events and spans of tools: `emit` and `span` send them to the backend that is set.

In a worker they go to its node, once that asks for them; elsewhere to the log (standard error, a line of JSON
for each event), unless a server of the bridge streams them to its caller. Correlation ids come with the
request and go out with every event.
"""

from snakepit_bridge.telemetry._backend import Backend, LogBackend, get_backend, set_backend
from snakepit_bridge.telemetry._correlation import (
    correlation,
    get_correlation_id,
    new_correlation_id,
    reset_correlation_id,
    set_correlation_id,
)
from snakepit_bridge.telemetry._emit import emit, span
from snakepit_bridge.telemetry._otel import otel_span

__all__ = [
    "Backend",
    "LogBackend",
    "correlation",
    "emit",
    "get_backend",
    "get_correlation_id",
    "new_correlation_id",
    "otel_span",
    "reset_correlation_id",
    "set_backend",
    "set_correlation_id",
    "span",
]
