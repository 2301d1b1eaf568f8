"""The adapter of the worker's tests: a module."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from snakepit import Session, StreamChunk, tool

RAN: list[str] = []
YIELDED = [0]


@tool("Give it back.", idempotent=True, cost="low")
def echo(value: Any = None, factor: int = 1) -> Any:
    return value


@tool
def ran() -> list[str]:
    """What has run so far."""
    return RAN


@tool
def nap(ms: int, mark: str = "") -> str:
    RAN.append(mark)
    time.sleep(ms / 1000)
    return threading.current_thread().name


@tool
async def nap_async(ms: int) -> int:
    await asyncio.sleep(ms / 1000)
    return ms


@tool
def fail() -> None:
    raise ValueError("as asked")


@tool
def leave() -> None:
    sys.exit(5)


@tool
def odd() -> object:
    return object()


@tool
def big(size: int) -> str:
    return "x" * size


@tool
def say(text: str) -> None:
    print(text)


@tool
def count(n: int) -> Iterator[Any]:
    try:
        for i in range(n):
            YIELDED[0] = i + 1
            yield StreamChunk({"n": i}, is_final=i == n - 1) if i % 2 else i
        return
    finally:
        RAN.append("closed")


@tool
async def count_async(n: int) -> AsyncIterator[int]:
    for i in range(n):
        YIELDED[0] = i + 1
        yield i


@tool
def yielded() -> int:
    return YIELDED[0]


@tool
async def yielded_async() -> int:
    return YIELDED[0]


@tool
def break_off() -> Iterator[int]:
    yield 1
    raise RuntimeError("half way")


@tool
def put(session: Session, name: str, value: Any) -> str:
    session[name] = value
    return session.id


@tool
def look(name: str, ctx: Session) -> Any:
    return ctx[name]


@tool
async def look_async(session: Session, name: str) -> Any:
    return session[name]


@tool(thread_sensitive=True)
def where(ms: int = 0) -> str:
    time.sleep(ms / 1000)
    return threading.current_thread().name


@tool
def hog(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


@tool
def facts(name: str) -> dict[str, Any]:
    """What the process is, and one variable of its environment."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgid(0),
        "argv": sys.argv[1:],
        "stdin": os.readlink("/proc/self/fd/0"),
        "ignored": [n.name for n in (signal.SIGTERM,) if signal.getsignal(n) == signal.SIG_IGN],
        "mark": os.environ.get(name),
        "random": random.random(),
    }


def not_a_tool() -> None:
    raise AssertionError
