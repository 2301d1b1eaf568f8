"""Tools that are hard to end, for the cluster tests."""

from __future__ import annotations

import os
import subprocess
import time

from snakepit import Session, tool


@tool("Hold a slot for some milliseconds.")
def hold(ms: float) -> float:
    """Like sleep_ms, but not idempotent: it is never run again by itself."""
    time.sleep(ms / 1000)
    return ms


@tool("Hold the interpreter's lock in C for hours.")
def hold_lock() -> int:
    """Nothing in this process runs Python meanwhile."""
    return sum(range(10**15))


@tool("Start a process and wait for it.")
def nest() -> int:
    """The child has no part in the worker's own arrangements to end."""
    return subprocess.run(["sleep", "600"], check=False).returncode


@tool("Give the value back.", idempotent=True)
def echo(value: object = None) -> object:
    """Any value that has a wire form."""
    return value


@tool("Tell which process this is.", idempotent=True)
def pid() -> int:
    """The worker's process id."""
    return os.getpid()


@tool("Set a variable, then hold the slot.")
def set_and_hold(session: Session, name: str, value: int, ms: float) -> float:
    """What was set stays, whatever becomes of the call."""
    session[name] = value
    time.sleep(ms / 1000)
    return ms
