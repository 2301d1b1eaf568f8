"""The base class under the path that Snakepit's adapter generator writes, and never had."""

from snakepit_bridge.base_adapter import BaseAdapter, ToolMetadata, tool

__all__ = ["BaseAdapter", "ToolMetadata", "tool"]
