"""The showcase: its tools are in the handlers, one table for each theme."""

from __future__ import annotations

from typing import Any, Final

from snakepit_bridge.adapters.showcase.handlers import (
    basic_ops,
    binary_ops,
    concurrent_ops,
    ml_workflow,
    session_ops,
    streaming_ops,
    variable_ops,
)
from snakepit_bridge.adapters.showcase.tool import Tool
from snakepit_bridge.base_adapter import BaseAdapter

_MODULES: Final = (
    basic_ops,
    session_ops,
    binary_ops,
    streaming_ops,
    concurrent_ops,
    variable_ops,
    ml_workflow,
)


class ShowcaseAdapter(BaseAdapter):
    """Dispatches by itself, as adapters for Snakepit do: `execute_tool` takes every name."""

    tools: Final[dict[str, Tool]] = {tool.name: tool for module in _MODULES for tool in module.TOOLS}

    def execute_tool(self, tool_name: str, arguments: dict[str, Any], context: Any) -> Any:
        """Run a tool of the tables. Raises ValueError where there is none of that name."""
        tool = self.tools.get(tool_name)
        if tool is None:
            raise ValueError(f"unknown tool: {tool_name}; there are {', '.join(sorted(self.tools))}")
        return tool(context, **arguments)
