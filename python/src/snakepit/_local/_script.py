"""A program that needs a cluster for as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any, Final, Literal, NoReturn

from snakepit._local._cluster import SHUTDOWN_TIMEOUT_S, LocalCluster
from snakepit.errors import Invalid

ExitMode = Literal["auto", "none", "exit"]
_EXIT_RAISED: Final = 1
_BY_SIGNAL: Final = 128


def run_as_script(
    main: Callable[[Any], Any],
    *,
    adapter: str | ModuleType | type = "",
    exit_mode: ExitMode = "auto",
    shutdown_timeout_s: float = SHUTDOWN_TIMEOUT_S,
    **options: Any,
) -> Any:
    """Start a cluster of one node, run `main(client)`, and stop everything, whatever happens.

    An async `main` gets an `AsyncClient`. The options are those of `LocalCluster`. With `exit_mode`

    - `auto`: returns what `main` returns and raises what it raises; SIGTERM, in the main thread, becomes
      SystemExit(143), so that all is stopped in order.
    - `none`: the same, and signals are left alone; all is stopped then by the end of the process.
    - `exit`: ends the process: with 0, the code of a SystemExit, 1 where `main` raised, 128 and the signal.
    """
    if exit_mode not in ("auto", "none", "exit"):
        raise Invalid(f"exit_mode is {exit_mode!r}; it is 'auto', 'none' or 'exit'")
    cluster = LocalCluster(adapter=adapter, shutdown_timeout_s=shutdown_timeout_s, **options)
    if exit_mode != "exit":
        with _terminated_in_order(exit_mode != "none"):
            return _run(cluster, main)
    try:
        with _terminated_in_order(True):
            _run(cluster, main)
    except BaseException as error:
        _exit_after(error)
    sys.exit(0)


def _run(cluster: LocalCluster, main: Callable[[Any], Any]) -> Any:
    with cluster:
        if inspect.iscoroutinefunction(main):
            return asyncio.run(_run_async(cluster, main))
        with cluster.connect() as client:
            return main(client)


async def _run_async(cluster: LocalCluster, main: Callable[[Any], Any]) -> Any:
    async with cluster.connect_async() as client:
        return await main(client)


def _exit_after(error: BaseException) -> NoReturn:
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        sys.exit(_BY_SIGNAL + signal.SIGINT)
    traceback.print_exception(error)
    sys.exit(_EXIT_RAISED)


@contextlib.contextmanager
def _terminated_in_order(wanted: bool) -> Iterator[None]:
    """Have SIGTERM end the block as SystemExit, in the main thread."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(_BY_SIGNAL + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
