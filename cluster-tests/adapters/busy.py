"""Tools that leave marks outside, stream, and die when they are told to, for the cluster tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

from snakepit import Session, StreamChunk, tool


def _append(path: str, line: str) -> None:
    # One write of a short line: many processes append to the same file.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


@tool("Append a line, then hold the slot.")
def append(path: str, line: str, ms: float = 0.0) -> int:
    """Running it twice shows."""
    _append(path, line)
    time.sleep(ms / 1000)
    return os.getpid()


@tool("Append a line, then hold the slot; may run twice.", idempotent=True)
def append_again(path: str, line: str, ms: float = 0.0) -> int:
    """As `append`, but it is run again where it is lost."""
    _append(path, line)
    time.sleep(ms / 1000)
    return os.getpid()


@tool("Give the value back.", idempotent=True)
def echo(value: object = None) -> object:
    """Any value that has a wire form."""
    return value


@tool("Tell which process this is.", idempotent=True)
def pid() -> int:
    """The worker's process id."""
    return os.getpid()


@tool("Tell a variable of the environment.", idempotent=True)
def variable(name: str) -> str:
    """Empty where it is not set."""
    return os.environ.get(name, "")


@tool("Hold a slot for some milliseconds.")
def hold(ms: float) -> float:
    """Not idempotent: it is never run again by itself."""
    time.sleep(ms / 1000)
    return ms


@tool("Kill the worker, while a file is there.")
def crash(path: str) -> int:
    """As a fault in foreign code would: SIGKILL."""
    if os.path.exists(path):
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@tool("Start a process with a session of its own, and leave it.")
def leave_behind() -> int:
    """It has no part in the worker's own arrangements to end."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    return child.pid


@tool("Set a variable, then fail.")
def set_and_fail(session: Session, name: str, value: int) -> None:
    """What was set stays."""
    session[name] = value
    raise ValueError("as asked")


@tool("Set a variable, then hold the slot.")
def set_and_hold(session: Session, name: str, value: int, ms: float = 0.0) -> float:
    """What was set stays, whatever becomes of the call."""
    session[name] = value
    time.sleep(ms / 1000)
    return ms


def _count(path: str, count: int, ms: float, fail_at: int) -> Iterator[StreamChunk]:
    try:
        for number in range(count):
            if number == fail_at:
                raise ValueError("as asked")
            yield StreamChunk({"n": number}, is_final=number == count - 1)
            _append(path, f"given {number}")
            time.sleep(ms / 1000)
    finally:
        _append(path, "closed")


@tool("Count up in a stream.")
def count(path: str, count: int, ms: float = 0.0, fail_at: int = -1) -> Iterator[StreamChunk]:
    """Yields {"n": 0}, {"n": 1}, …, and notes each in a file, and its end."""
    yield from _count(path, count, ms, fail_at)


@tool("Count up in a stream; may run twice.", idempotent=True)
def count_again(path: str, count: int, ms: float = 0.0, fail_at: int = -1) -> Iterator[StreamChunk]:
    """As `count`, but it is run again where it is lost."""
    yield from _count(path, count, ms, fail_at)


@tool("Give so many letters back.", idempotent=True)
def letters(count: float) -> str:
    """More than the log takes, where that is asked for."""
    return "x" * int(count)
