"""Snakepit's Python package, over our nodes: adapters and scripts written for it run as they are.

The union of what Snakepit 0.4 (variables) and 0.13 (heartbeats, telemetry) offer, under the same names. New
code has less to carry with the package `snakepit`. What differs is in docs/compatibility.md.
"""

from snakepit_bridge.heartbeat import HeartbeatClient, HeartbeatConfig
from snakepit_bridge.logging_config import configure_logging, get_logger
from snakepit_bridge.session_context import SessionContext, VariableNotFoundError, VariableProxy
from snakepit_bridge.types import TypeValidator, VariableType
from snakepit_bridge.zero_copy import ZeroCopyRef

# Snakepit's own number for this package.
__version__ = "2.0.0"

__all__ = [
    "HeartbeatClient",
    "HeartbeatConfig",
    "SessionContext",
    "TypeValidator",
    "VariableNotFoundError",
    "VariableProxy",
    "VariableType",
    "ZeroCopyRef",
    "configure_logging",
    "get_logger",
]
