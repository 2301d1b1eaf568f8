"""Tools of {{name}}: plain functions, served by workers of a Snakepit cluster.

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

from snakepit import Session, StreamChunk, tool


@tool("Greet somebody.", idempotent=True)
def greet(name: str, loud: bool = False) -> dict[str, Any]:
    """An idempotent tool may be run again where its worker dies."""
    text = f"hello {name}"
    return {"text": text.upper() if loud else text}


@tool("Add to a total that the caller's session keeps.")
def add_up(session: Session, amount: float, name: str = "total") -> float:
    """The session is replicated: the total outlives this worker, and its node."""
    if name not in session:
        session[name] = 0.0
    # Reads, writes, and does both again where another call was faster.
    return float(session.change(name, lambda total: total + amount))


@tool("Count up, a number at a time.")
def count(to: int = 3, delay_ms: float = 0.0) -> Iterator[StreamChunk]:
    """A generator is a streaming tool; it waits where its reader is slow."""
    for number in range(1, to + 1):
        if delay_ms:
            time.sleep(delay_ms / 1000)
        yield StreamChunk({"number": number}, is_final=number == to)
