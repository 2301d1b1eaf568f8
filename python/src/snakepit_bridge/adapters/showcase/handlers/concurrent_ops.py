"""Work that takes its time."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool


def compute(ctx: Any, ms: float = 10.0) -> dict[str, Any]:
    """Hold a thread."""
    del ctx
    time.sleep(ms / 1000)
    return {"ms": ms, "thread": threading.current_thread().name}


async def compute_async(ctx: Any, ms: float = 10.0) -> dict[str, Any]:
    """Wait on the loop."""
    del ctx
    await asyncio.sleep(ms / 1000)
    return {"ms": ms}


TOOLS: Final = [Tool(function) for function in (compute, compute_async)]
