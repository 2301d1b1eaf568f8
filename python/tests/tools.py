"""The adapter of the worker's tests: a module."""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from snakepit import Session, StreamChunk, telemetry, tool

RAN: list[str] = []
YIELDED = [0]


@tool("Give it back.", idempotent=True, cost="low")
def echo(value: Any = None, factor: int = 1) -> Any:
    return value


@tool
def spin(loops: int) -> int:
    """Python code and nothing else: it needs a core, or the lock."""
    count = 0
    while count < loops:
        count += 1
    return count


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
def deep(levels: int) -> Any:
    value: Any = object()
    for _ in range(levels):
        value = [value]
    return value


class Point(NamedTuple):
    x: int
    y: Any


@tool
def objects() -> dict[str, Any]:
    return {
        "point": Point(1, (2,)),
        "day": datetime.date(2024, 2, 29),
        "set": {1},
        "bytes": b"x",
        "nan": {"deep": [float("inf")]},
    }


@tool
def stream_objects() -> Iterator[StreamChunk]:
    yield StreamChunk(Point(1, datetime.date(2024, 2, 29)), is_final=True)


@tool
def arrays() -> dict[str, Any]:
    import numpy as np

    return {
        "array": np.array([[1.0, np.inf], [2.0, 3.0]]),
        "scalar": np.int64(7),
        "date": np.array(["2024-02-29"], dtype="datetime64[D]"),
        "object": object(),
    }


@tool
def misfit(chained: bool = False) -> None:
    import numpy as np

    try:
        np.ones((2, 3)) + np.ones(4)
    except ValueError as error:
        if chained:
            raise RuntimeError("the model failed") from error
        raise


@tool
def big(size: int) -> str:
    return "x" * size


@tool
def say(text: str) -> None:
    print(text)


@tool
def say_both(text: str) -> None:
    sys.stdout.write(f"out {text}")
    print(f"err {text}", file=sys.stderr)


@tool
def say_and_fail(text: str) -> None:
    print(text)
    raise ValueError(text)


@tool
def say_and_return(lines: int, size: int) -> str:
    say_many(lines)
    return "x" * size


@tool
def say_many(lines: int) -> None:
    for n in range(lines):
        print("ä", n)


@tool
def say_below(text: str) -> None:
    os.write(1, text.encode() + b"\n")


@tool
def say_stream(n: int) -> Iterator[int]:
    for i in range(n):
        print(i)
        yield i


@tool
async def say_stream_async(n: int) -> AsyncIterator[int]:
    for i in range(n):
        print(i)
        yield i


@tool
def chat(mark: str, times: int) -> None:
    for _ in range(times):
        print(mark)
        time.sleep(0.02)


@tool
async def chat_async(mark: str, times: int) -> None:
    for _ in range(times):
        print(mark)
        await asyncio.sleep(0.02)


@tool
async def chat_threaded(mark: str, times: int) -> None:
    await asyncio.to_thread(chat, mark, times)


@tool
def fail_with(text: str) -> None:
    raise RuntimeError(text)


@tool
async def block_async(seconds: float) -> float:
    time.sleep(seconds)  # noqa: ASYNC251
    return seconds


@tool
async def thread_async() -> str:
    return threading.current_thread().name


@tool
def count_slowly(n: int, ms: int) -> Iterator[int]:
    for i in range(n):
        yield i
        time.sleep(ms / 1000)


@tool
def measure() -> None:
    telemetry.emit("model.loaded", {"bytes": 12, "share": 0.5}, {"name": "tiny"})
    with telemetry.span("model.fit", kind="ridge") as about:
        about["rounds"] = 3


@tool
async def measure_async() -> None:
    await asyncio.to_thread(measure)


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
        "collects": gc.isenabled(),
        "random": random.random(),
    }


@tool
def child_environment(name: str) -> str:
    """What a process that this tool starts has in its environment."""
    program = "import os, sys; print(os.environ.get(sys.argv[1], ''))"
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def not_a_tool() -> None:
    raise AssertionError
