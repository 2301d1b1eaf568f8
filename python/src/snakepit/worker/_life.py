"""A worker dies with its node: whatever its tools are doing, within a second."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final, NoReturn

from snakepit.errors import Refused

WATCH_INTERVAL_S: Final = 0.5
# How long a forked worker may take to become the node's child.
ADOPTION_TIMEOUT_S: Final = 2.0
EXIT_ORPHAN: Final = 3
_ADOPTION_PAUSE_S: Final = 0.001
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15


def bind_to_node(node_pid: int | None, *, wait_s: float = 0.0) -> None:
    """Tie this process to its parent's life: the kernel's signal, and a thread that looks every 500 ms.

    Raises Refused where the parent is not `node_pid` within `wait_s`, which also covers a node that died
    before this ran.
    """
    parent = os.getppid() if node_pid is None else node_pid
    ends = time.monotonic() + wait_s
    # The signal comes with the death of whoever is the parent then, so it is asked for when that is the node.
    while os.getppid() != parent and time.monotonic() < ends:
        time.sleep(_ADOPTION_PAUSE_S)
    die_with_parent()
    if os.getppid() != parent:
        raise Refused(
            f"the parent process is {os.getppid()} and not the node, {parent}",
            hint="let the node start the worker itself, without a wrapper in between",
        )
    threading.Thread(target=_watch, args=(parent,), name="snakepit-watchdog", daemon=True).start()


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that is its parent ends; on Linux only."""
    # Also kills a worker whose tool holds the interpreter's lock inside foreign code.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def set_name(name: str) -> None:
    """The process's name as `ps -o comm` shows it, 15 bytes at most; on Linux only."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def exit_now(code: int) -> NoReturn:
    """End the process at once: no exit handlers, no waiting for threads that run tools."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _prctl(option: int, argument: object) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_INTERVAL_S)
    # Not flushed: standard error may be a pipe that nobody reads any more.
    os._exit(EXIT_ORPHAN)
