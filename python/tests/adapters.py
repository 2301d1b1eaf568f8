"""Adapters of the worker's tests that are classes."""

from __future__ import annotations

import threading
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


class SafePlain(Plain):
    __thread_safe__ = True


class Talker:
    def execute_tool(self, tool_name: str, arguments: dict[str, Any], context: Any) -> None:
        print("said")


class Unsafe:
    __thread_safe__ = False

    @tool
    def one(self) -> int:
        return 1


class Hooked:
    """Where its hook ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def initialize(self) -> None:
        self.ran.append(threading.current_thread().name)

    @tool
    def threads(self) -> list[str]:
        return self.ran


class Empty:
    pass
