"""The session of the call."""

from __future__ import annotations

import time
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool


def init_session(ctx: Any, **settings: Any) -> dict[str, Any]:
    """Put a first variable into the session."""
    ctx["initialized_at"] = time.time()
    for name, value in settings.items():
        ctx[name] = value
    return {"session_id": ctx.session_id, "variables": len(ctx.list_variables())}


def get_session_info(ctx: Any) -> dict[str, Any]:
    """Tell what the session holds."""
    return {"session_id": ctx.session_id, "names": [item["name"] for item in ctx.list_variables()]}


def call_another_tool(ctx: Any, tool: str, arguments: dict[str, Any] | None = None) -> Any:
    """Call a tool of the cluster from a tool."""
    return ctx.call_remote_tool(tool, **(arguments or {}))


TOOLS: Final = [Tool(function) for function in (init_session, get_session_info, call_another_tool)]
