"""The correlation id of what runs here: that of `snakepit.telemetry`."""

from snakepit.telemetry import (
    correlation,
    get_correlation_id,
    new_correlation_id,
    reset_correlation_id,
    set_correlation_id,
)

__all__ = [
    "correlation",
    "get_correlation_id",
    "new_correlation_id",
    "reset_correlation_id",
    "set_correlation_id",
]
