"""Snakepit: tools in Python, over sessions that survive their nodes.

Write tools with `tool` (and `Adapter` where a class helps); they run in workers, `python -m snakepit.worker`,
which a node starts. A tool asks for the caller's state with a parameter ``session: Session``. Call tools and
use sessions with `connect`, or `connect_async` for asyncio, through any node of the cluster. Errors are in
`snakepit.errors`, events in `snakepit.telemetry`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from snakepit import errors

if TYPE_CHECKING:
    from snakepit._adapter import Adapter
    from snakepit._aio_client import AsyncClient, connect_async
    from snakepit._aio_session import AsyncSession
    from snakepit._change import Cause, Update, Version
    from snakepit._chunks import StreamChunk
    from snakepit._client import Client, connect
    from snakepit._document import read_document, write_document
    from snakepit._local._cluster import LocalCluster, Node
    from snakepit._local._script import run_as_script
    from snakepit._ops.batches import Versions
    from snakepit._ops.log import LogEvent
    from snakepit._ops.pools import Pool, WorkerInfo
    from snakepit._ops.programs import Program
    from snakepit._ops.sessions import SessionInfo
    from snakepit._ops.subjects import Erasure, Subject
    from snakepit._ops.tools import CallResult, ToolChunk
    from snakepit._optimization import AsyncOptimization, Optimization
    from snakepit._programs import AsyncPrograms, Programs
    from snakepit._serve import AsyncService, Service, serve, serve_async
    from snakepit._session import Session
    from snakepit._tool import tool
    from snakepit._tool_stream import AsyncToolStream, ToolStream
    from snakepit._variable import Dependency, Lock, Registered, Variable
    from snakepit._watch import AsyncLog, AsyncWatch, Log, Watch
    from snakepit.errors import SnakepitError, ToolError, VariableNotFoundError

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "AsyncClient",
    "AsyncLog",
    "AsyncOptimization",
    "AsyncPrograms",
    "AsyncService",
    "AsyncSession",
    "AsyncToolStream",
    "AsyncWatch",
    "CallResult",
    "Cause",
    "Client",
    "Dependency",
    "Erasure",
    "LocalCluster",
    "Lock",
    "Log",
    "LogEvent",
    "Node",
    "Optimization",
    "Pool",
    "Program",
    "Programs",
    "Registered",
    "Service",
    "Session",
    "SessionInfo",
    "SnakepitError",
    "StreamChunk",
    "Subject",
    "ToolChunk",
    "ToolError",
    "ToolStream",
    "Update",
    "Variable",
    "VariableNotFoundError",
    "Version",
    "Versions",
    "Watch",
    "WorkerInfo",
    "connect",
    "connect_async",
    "errors",
    "read_document",
    "run_as_script",
    "serve",
    "serve_async",
    "tool",
    "write_document",
]

# Where each name is: imported at its first use, because a worker starts with few of them.
_HOMES = {
    "Adapter": "_adapter",
    "AsyncClient": "_aio_client",
    "AsyncLog": "_watch",
    "AsyncOptimization": "_optimization",
    "AsyncPrograms": "_programs",
    "AsyncService": "_serve",
    "AsyncSession": "_aio_session",
    "AsyncToolStream": "_tool_stream",
    "AsyncWatch": "_watch",
    "CallResult": "_ops.tools",
    "Cause": "_change",
    "Client": "_client",
    "Dependency": "_variable",
    "LocalCluster": "_local._cluster",
    "Lock": "_variable",
    "Log": "_watch",
    "Erasure": "_ops.subjects",
    "LogEvent": "_ops.log",
    "Node": "_local._cluster",
    "Optimization": "_optimization",
    "Pool": "_ops.pools",
    "Program": "_ops.programs",
    "Programs": "_programs",
    "Registered": "_variable",
    "Service": "_serve",
    "Session": "_session",
    "SessionInfo": "_ops.sessions",
    "Subject": "_ops.subjects",
    "SnakepitError": "errors",
    "StreamChunk": "_chunks",
    "ToolChunk": "_ops.tools",
    "ToolError": "errors",
    "ToolStream": "_tool_stream",
    "Update": "_change",
    "Variable": "_variable",
    "VariableNotFoundError": "errors",
    "Version": "_change",
    "Versions": "_ops.batches",
    "Watch": "_watch",
    "WorkerInfo": "_ops.pools",
    "connect": "_client",
    "connect_async": "_aio_client",
    "read_document": "_document",
    "run_as_script": "_local._script",
    "serve": "_serve",
    "serve_async": "_serve",
    "tool": "_tool",
    "write_document": "_document",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; it stays."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'snakepit' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"snakepit.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
