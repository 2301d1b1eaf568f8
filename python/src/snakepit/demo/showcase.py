"""Small tools, one for each thing that a worker can do. The adapter is this module."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from snakepit import Session, StreamChunk, tool


@tool("Give the value back.", idempotent=True)
def echo(value: Any = None) -> Any:
    """Any value that has a wire form."""
    return value


@tool("Add two numbers.", idempotent=True)
def add(a: float, b: float) -> float:
    """Integers stay integers."""
    return a + b


@tool("Hold a slot for some milliseconds.", idempotent=True)
def sleep_ms(ms: float) -> float:
    """Blocks its thread; returns `ms`."""
    time.sleep(ms / 1000)
    return ms


@tool("Wait for some milliseconds on the loop.", idempotent=True)
async def async_sleep_ms(ms: float) -> float:
    """Can be cancelled; returns `ms`."""
    await asyncio.sleep(ms / 1000)
    return ms


@tool("Raise ValueError.")
def fail(message: str = "as asked") -> None:
    """Raises ValueError with the message."""
    raise ValueError(message)


@tool("Count up in a stream.")
def count_stream(count: int, delay_ms: float = 0.0) -> Iterator[StreamChunk]:
    """Yields {"n": 0}, {"n": 1}, …; the last is marked."""
    for n in range(count):
        if delay_ms:
            time.sleep(delay_ms / 1000)
        yield StreamChunk({"n": n}, is_final=n == count - 1)


@tool("Kill the worker that runs this.")
def kill_self() -> None:
    """Never returns: SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


@tool("Set a variable of the caller's session.")
def set_variable(session: Session, name: str, value: Any) -> int:
    """Registers it where it is missing; returns the variable's version."""
    session[name] = value
    return session.variable(name).version


@tool("Read a variable of the caller's session.", idempotent=True)
def read_variable(session: Session, name: str) -> Any:
    """Raises VariableNotFoundError."""
    return session.get(name)


@tool("Add to a number in the caller's session.")
def increment(session: Session, name: str, by: int = 1) -> Any:
    """Compare-and-set, repeated on conflict; returns the new value."""
    return session.change(name, lambda value: value + by)


@tool("Tell which process this is.", idempotent=True)
def pid() -> int:
    """The worker's process id."""
    return os.getpid()
