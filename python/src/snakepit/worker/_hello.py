"""How a worker introduces itself."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any, Final

import snakepit
from snakepit._proto.worker_v1_pb2 import Hello
from snakepit.worker._host import Host
from snakepit.worker._settings import Settings

PROTOCOL: Final = 1


def hello(settings: Settings, host: Host, *, held: Iterable[int] | None = None) -> Hello:
    """The first message of a stream; with the calls that are `held` where it is not the first stream."""
    return Hello(
        protocol=PROTOCOL,
        worker_id=settings.worker_id,
        token=settings.token,
        pid=os.getpid(),
        adapter=settings.adapter,
        tools=host.specs,
        slots=settings.slots,
        credits=settings.credits,
        python_version=platform.python_version(),
        sdk_version=snakepit.__version__,
        concurrency=settings.concurrency or ("thread" if settings.slots > 1 else "process"),
        gil=has_gil(),
        held=held or (),
        again=held is not None,
    )


def offer(name: str, worker_id: str, host: Host, *, slots: int, credits: int) -> Hello:
    """The first message of a process that the node did not start, which offers its tools under a name."""
    return Hello(
        protocol=PROTOCOL,
        worker_id=worker_id,
        pid=os.getpid(),
        adapter=host.name,
        tools=host.specs,
        slots=slots,
        credits=credits,
        python_version=platform.python_version(),
        sdk_version=snakepit.__version__,
        offer=name,
        concurrency="thread" if slots > 1 else "process",
        gil=has_gil(),
    )


def takes_turns() -> str:
    """Why threads take turns in an interpreter that could run them at once; empty where there is no why."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED") or not has_gil():
        return ""
    return (
        "this Python is free-threaded, but an extension module has turned its global lock on: slots take "
        "turns; hint: see `snakepit doctor`, or set PYTHON_GIL=0 in the pool's env where all modules bear it"
    )


def has_gil() -> bool:
    """Whether threads of this interpreter take turns."""
    # Interpreters before 3.13 cannot be asked, and do.
    asked: Any = getattr(sys, "_is_gil_enabled", None)
    return True if asked is None else bool(asked())
