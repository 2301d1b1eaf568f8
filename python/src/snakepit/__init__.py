"""Snakepit: tools in Python, over sessions that survive their nodes.

Write tools with `tool` (and `Adapter` where a class helps); they run in workers, `python -m snakepit.worker`,
which a node starts. A tool asks for the caller's state with a parameter ``session: Session``. Call tools
with `connect`, through any node of the cluster. Errors are in `snakepit.errors`.
"""

from snakepit import errors
from snakepit._adapter import Adapter
from snakepit._chunks import StreamChunk
from snakepit._client import CallResult, Client, connect
from snakepit._session import Session, SessionInfo
from snakepit._tool import tool
from snakepit._variable import Registered, Variable
from snakepit.errors import SnakepitError, ToolError, VariableNotFoundError

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "CallResult",
    "Client",
    "Registered",
    "Session",
    "SessionInfo",
    "SnakepitError",
    "StreamChunk",
    "ToolError",
    "Variable",
    "VariableNotFoundError",
    "connect",
    "errors",
    "tool",
]
