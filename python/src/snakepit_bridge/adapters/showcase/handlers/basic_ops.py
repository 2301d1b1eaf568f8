"""Values in, values out."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool


def ping(ctx: Any, message: str = "pong") -> dict[str, Any]:
    """Answer."""
    return {"status": "ok", "message": message, "session_id": ctx.session_id}


def echo(ctx: Any, **arguments: Any) -> dict[str, Any]:
    """Give the arguments back."""
    del ctx
    return {"echoed": arguments}


def add(ctx: Any, a: float, b: float) -> float:
    """Add two numbers; integers stay integers."""
    del ctx
    return a + b


def process_text(ctx: Any, text: str, operation: str = "upper") -> dict[str, Any]:
    """Change a text: upper, lower, reverse or length."""
    del ctx
    done: dict[str, Any] = {
        "upper": text.upper(),
        "lower": text.lower(),
        "reverse": text[::-1],
        "length": len(text),
    }
    if operation not in done:
        raise ValueError(f"unknown operation: {operation}; there are {', '.join(done)}")
    return {"original": text, "operation": operation, "result": done[operation]}


def adapter_info(ctx: Any) -> dict[str, Any]:
    """Tell which process this is."""
    del ctx
    return {"adapter_name": "ShowcaseAdapter", "pid": os.getpid(), "python": sys.version.split()[0]}


def error_demo(ctx: Any, error_type: str = "value") -> None:
    """Raise ValueError, or RuntimeError."""
    del ctx
    raise ValueError("as asked") if error_type == "value" else RuntimeError("as asked")


TOOLS: Final = [Tool(function) for function in (ping, echo, add, process_text, adapter_info, error_demo)]
