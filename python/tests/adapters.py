"""Adapters of the worker's tests that are classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snakepit import Adapter, tool

LOG: list[str] = []


class PerRequest(Adapter):
    def __init__(self) -> None:
        self.calls = 0

    async def initialize(self) -> None:
        LOG.append("initialize")

    def cleanup(self) -> None:
        LOG.append("cleanup")

    @tool("Count calls on this instance.")
    def count(self) -> int:
        self.calls += 1
        return self.calls

    @tool
    def log(self) -> list[str]:
        return list(LOG)

    @tool
    def session_id(self) -> str:
        return self.session.id

    @tool
    async def session_id_async(self) -> str:
        return self.session.id

    @tool
    def stream(self, n: int) -> Iterator[int]:
        assert "cleanup" not in LOG
        yield from range(n)

    @tool
    def fail(self) -> None:
        raise KeyError("gone")


class PerWorker(PerRequest):
    instance = "worker"


class Plain:
    """As a Snakepit adapter: no base class, and dispatches by itself."""

    def __init__(self) -> None:
        self.context: Any = None

    def set_session_context(self, context: Any) -> None:
        self.context = context

    def execute_tool(self, tool_name: str, arguments: dict[str, Any], context: Any) -> Any:
        if tool_name == "numbers":
            return iter(range(arguments["n"]))
        return {
            "tool": tool_name,
            "arguments": arguments,
            "session": context.id,
            "same": context is self.context,
        }

    @tool
    def ignored(self) -> str:
        return "execute_tool wins"


class AsyncPlain:
    async def execute_tool(self, *, tool_name: str, arguments: dict[str, Any], context: Any) -> Any:
        return [tool_name, arguments]


class Empty:
    pass
