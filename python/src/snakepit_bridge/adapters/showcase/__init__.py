"""The adapter that shows everything."""

from snakepit_bridge.adapters.showcase.adapter import ShowcaseAdapter
from snakepit_bridge.adapters.showcase.tool import StreamChunk, Tool

__all__ = ["ShowcaseAdapter", "StreamChunk", "Tool"]
