"""What the workers serve while they are measured; the adapter is this module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snakepit import StreamChunk, tool


@tool("Do nothing.", idempotent=True)
def noop(value: Any = None) -> None:
    """The load of `snakepit bench` sends a value."""


@tool("Yield so many chunks.")
def chunks(count: int) -> Iterator[StreamChunk]:
    """Small ones, as fast as they are taken."""
    for number in range(count):
        yield StreamChunk({"n": number}, is_final=number == count - 1)
