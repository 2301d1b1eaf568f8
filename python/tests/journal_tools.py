"""Tools for calls that are logged, lost and repeated."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from snakepit import tool


@tool(idempotent=True)
def slow_count(to: int, ms: float = 5.0) -> Iterator[int]:
    for number in range(to):
        time.sleep(ms / 1000)
        yield number


@tool
def count_once(to: int, ms: float = 5.0) -> Iterator[int]:
    for number in range(to):
        time.sleep(ms / 1000)
        yield number


@tool
def stamp() -> str:
    """Another one for each run."""
    print("out")
    print("err", file=sys.stderr)
    return f"{os.getpid()}-{time.time_ns()}"


@tool
def give_back(value: Any) -> Any:
    return value


@tool
def kinds_of(free: Any, listed: list[float]) -> list[str]:
    return [type(free).__name__, type(listed).__name__]


@tool
def crash() -> None:
    os._exit(9)
