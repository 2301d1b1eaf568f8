"""{{class}}: an adapter as those of Snakepit for Elixir are written, served by workers of a Snakepit cluster.

Try it where this file is:

    snakepit cluster up --adapter {{adapter}} --detach
    snakepit tool ls
    snakepit call greet name=ada
    snakepit session create demo
    snakepit call add_up amount=2.5 --session demo
    snakepit call count to=3 --stream

Once a cluster runs:

    snakepit pool add {{name}} --adapter {{adapter}} --cwd "$PWD"
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter import BaseAdapter, tool


class {{class}}(BaseAdapter):
    """One instance serves one request."""

    def __init__(self) -> None:
        self.greeting = ""

    async def initialize(self) -> None:
        """Open what the request needs; called before its tool."""
        self.greeting = "hello"

    async def cleanup(self) -> None:
        """Close it again; called after the tool, whatever happened."""
        self.greeting = ""

    @tool(description="Greet somebody", idempotent=True)
    def greet(self, name: str, loud: bool = False) -> dict[str, Any]:
        """An idempotent tool may be run again where its worker dies."""
        text = f"{self.greeting} {name}"
        return {"text": text.upper() if loud else text, "session_id": self.session_id}

    @tool(description="Add to a total that the caller's session keeps")
    def add_up(self, amount: float, name: str = "total") -> float:
        """The session is replicated: the total outlives this worker, and its node."""
        session = self.session_context
        if session is None:
            raise RuntimeError("there is no session")
        total = float(session[name]) if name in session else 0.0
        session[name] = total + amount
        return float(session[name])

    @tool(description="Count up, a number at a time", supports_streaming=True)
    def count(self, to: int = 3, delay_ms: float = 0.0) -> Iterator[StreamChunk]:
        """A generator waits where its reader is slow."""
        for number in range(1, to + 1):
            if delay_ms:
                time.sleep(delay_ms / 1000)
            yield StreamChunk({"number": number}, is_final=number == to)
