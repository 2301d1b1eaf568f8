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
EXIT_ORPHAN: Final = 3
_PR_SET_PDEATHSIG: Final = 1


def bind_to_node(node_pid: int | None) -> None:
    """Tie this process to its parent's life: the kernel's signal, and a thread that looks every 500 ms.

    Raises Refused where the parent is not `node_pid`, which also covers a node that died before this ran.
    """
    parent = os.getppid() if node_pid is None else node_pid
    if sys.platform == "linux":
        # Also kills a worker whose tool holds the interpreter's lock inside foreign code.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise Refused(
            f"the parent process is {os.getppid()} and not the node, {parent}",
            hint="let the node start the worker itself, without a wrapper in between",
        )
    threading.Thread(target=_watch, args=(parent,), name="snakepit-watchdog", daemon=True).start()


def exit_now(code: int) -> NoReturn:
    """End the process at once: no exit handlers, no waiting for threads that run tools."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_INTERVAL_S)
    # Not flushed: standard error may be a pipe that nobody reads any more.
    os._exit(EXIT_ORPHAN)
