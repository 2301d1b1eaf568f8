"""What the tests serve from processes that no node started."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import snakepit
from snakepit import Adapter, Session, telemetry, tool

EVENTS: list[str] = []
_most = [0, 0]
_lock = threading.Lock()


def double(value: Any) -> Any:
    """Twice."""
    return value * 2


def served_by() -> int:
    return os.getpid()


@tool("Into the caller's session.")
def keep(session: Session, name: str, value: Any) -> Any:
    session[name] = value
    return session[name]


def says(text: str) -> str:
    print(f"out {text}")
    print(f"err {text}", file=sys.stderr)
    telemetry.emit("served.said", {"letters": len(text)})
    return text


def fails(text: str) -> None:
    raise LookupError(text)


def counts(to: int) -> Iterator[int]:
    try:
        for number in range(to):
            yield number
            time.sleep(0.002)
    finally:
        EVENTS.append("counts ended")


async def waits(seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        EVENTS.append("waits cancelled")
        raise
    return "waited"


async def ticks(to: int) -> AsyncIterator[int]:
    for number in range(to):
        await asyncio.sleep(0)
        yield number


def at_once(ms: int) -> int:
    """The most that ever ran at once."""
    with _lock:
        _most[0] += 1
        _most[1] = max(_most)
    time.sleep(ms / 1000)
    with _lock:
        _most[0] -= 1
        return _most[1]


FUNCTIONS: list[Callable[..., Any]] = [double, served_by, keep, fails, counts, waits, ticks, at_once]


class Counter(Adapter):
    instance = "worker"

    def __init__(self) -> None:
        self.total = 0
        self.made = threading.get_ident()

    @tool
    def count_up(self, by: int = 1) -> int:
        self.total += by
        return self.total


if __name__ == "__main__":
    service = snakepit.serve([served_by, says], sys.argv[1], name=sys.argv[2], principal="eve")
    print("serving", flush=True)
    service.serve_forever()
    print("stopped", flush=True)
