"""An adapter to copy: the smallest that shows each kind of tool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter import BaseAdapter, tool


class TemplateAdapter(BaseAdapter):
    """Copy it, rename it, replace its tools."""

    async def initialize(self) -> None:
        """Called before each request's tool: open what it needs."""

    async def cleanup(self) -> None:
        """Called after it, whatever happened: close it."""

    @tool(description="Give the arguments back")
    def echo(self, message: str = "") -> dict[str, Any]:
        """The simplest tool."""
        return {"message": message, "session_id": self.session_id}

    @tool(description="Remember a value in the session")
    def remember(self, name: str, value: Any) -> Any:
        """The variable is registered where it is missing."""
        if self.session_context is None:
            raise RuntimeError("there is no session")
        self.session_context[name] = value
        return self.session_context[name]

    @tool(description="Count up", supports_streaming=True)
    def count(self, to: int = 3) -> Iterator[StreamChunk]:
        """A stream; the last chunk is marked."""
        for number in range(1, to + 1):
            yield StreamChunk({"number": number}, is_final=number == to)
