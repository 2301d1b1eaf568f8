"""Streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import StreamChunk, Tool


def stream_progress(ctx: Any, steps: int = 5, delay_ms: float = 0.0) -> Iterator[StreamChunk]:
    """Tell of progress, step by step."""
    del ctx
    for step in range(1, steps + 1):
        if delay_ms:
            time.sleep(delay_ms / 1000)
        yield StreamChunk({"step": step, "total": steps}, is_final=step == steps)


def stream_fibonacci(ctx: Any, count: int = 10) -> Iterator[dict[str, Any]]:
    """Fibonacci's numbers, as plain dicts."""
    del ctx
    a, b = 0, 1
    for index in range(count):
        yield {"index": index, "value": a}
        a, b = b, a + b


TOOLS: Final = [Tool(function, streaming=True) for function in (stream_progress, stream_fibonacci)]
