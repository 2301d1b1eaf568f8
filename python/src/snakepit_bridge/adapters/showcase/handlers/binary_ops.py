"""Bytes and arrays."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool


def process_binary(ctx: Any, data: bytes) -> dict[str, Any]:
    """Length and SHA-256 of bytes."""
    del ctx
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def reverse_bytes(ctx: Any, data: bytes) -> bytes:
    """Bytes in, bytes out."""
    del ctx
    return bytes(data[::-1])


def store_embedding(ctx: Any, name: str, values: list[float]) -> dict[str, Any]:
    """Keep an embedding in the session."""
    ctx.register_variable(name, "embedding", values)
    return {"name": name, "dimensions": len(ctx[name])}


TOOLS: Final = [Tool(function) for function in (process_binary, reverse_bytes, store_embedding)]
