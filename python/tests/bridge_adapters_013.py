"""Adapters as they were written for Snakepit 0.13: `@tool` methods, telemetry, async, threads."""

from __future__ import annotations

import datetime
import threading
from collections import namedtuple
from typing import Any

from snakepit_bridge import telemetry
from snakepit_bridge.base_adapter import BaseAdapter, tool
from snakepit_bridge.base_adapter_threaded import ThreadSafeAdapter, thread_safe_method
from snakepit_bridge.logging_config import get_logger

logger = get_logger(__name__)
Point = namedtuple("Point", "x y")
REGISTERED: list[str] = []


class Model:
    def model_dump(self) -> dict[str, Any]:
        return {"kind": "model", "when": datetime.date(2024, 1, 2)}


class OnlyTools(BaseAdapter):
    """Has no `execute_tool`."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = False

    def initialize(self) -> None:
        self.opened = True

    async def register_with_session_async(self, session_id: str, stub: Any) -> list[str]:
        import snakepit_bridge_pb2 as pb

        answer = await stub.RegisterTools(pb.RegisterToolsRequest(session_id=session_id))
        REGISTERED.append(session_id)
        return list(answer.tool_ids)

    @tool(description="Add")
    def add(self, a: int, b: int) -> int:
        assert self.opened
        return a + b

    @tool(description="Who am I")
    async def whoami(self) -> dict[str, Any]:
        assert self.session_context is not None
        return {
            "session_id": self.session_id,
            "correlation": telemetry.get_correlation_id(),
            "metadata": self.session_context.request_metadata,
            "registered": list(REGISTERED),
        }

    @tool(description="Objects")
    def objects(self, *, secret: bool = False) -> dict[str, Any]:
        return {"model": Model(), "point": Point(1, 2), "lock": threading.Lock()}

    @tool(description="Object")
    def just_object(self) -> Any:
        return Model()

    @tool(description="Bytes")
    def just_bytes(self) -> bytes:
        return b"\0\xff"

    @tool(description="None")
    def nothing(self) -> None:
        return None

    @tool(description="Stream", supports_streaming=True)
    async def stream(self, count: int) -> Any:
        for number in range(count):
            yield {"n": number, "point": Point(number, 0)}

    @tool(description="Remote")
    def remote(self) -> list[Any]:
        assert self.session_context is not None
        tools = self.session_context.elixir_tools
        return [
            sorted(tools),
            tools["multiply"]["description"],
            self.session_context.call_elixir_tool("multiply", a=2, b=4),
            self.session_context.call_elixir_tool("echo", a={"k": ["v", None, "text"]}),
        ]

    @tool(description="Relay")
    def relay(self, tool: str, arguments: dict[str, Any]) -> Any:
        assert self.session_context is not None
        return self.session_context.call_remote_tool(tool, **arguments)

    @tool(description="Remember")
    def remember(self, name: str, value: Any) -> Any:
        assert self.session_context is not None
        self.session_context[name] = value
        self.session_context.clear_cache()
        return self.session_context[name]

    @tool(description="Telemetry")
    def observed(self) -> str:
        telemetry.emit("tool.seen", {"count": 1}, {"tool": "observed"})
        with telemetry.span("tool.work", {"step": "one"}):
            pass
        return telemetry.get_correlation_id()

    @tool(description="Which thread")
    def thread(self) -> str:
        return threading.current_thread().name

    @tool(description="Fails")
    def fail(self) -> None:
        raise RuntimeError("as asked")


class Threaded(ThreadSafeAdapter):
    @thread_safe_method
    @tool(description="Square")
    def square(self, n: int) -> int:
        with self.acquire_lock():
            self.set_thread_local("last", n)
        return int(self.get_thread_local("last")) ** 2
