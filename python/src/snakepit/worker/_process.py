"""A process as a worker: its settings, its tie to the node, its event loop, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from snakepit.errors import Invalid, SnakepitError
from snakepit.worker import _life, _output, _settings

if TYPE_CHECKING:
    from snakepit.worker._worker import Worker

EXIT_WRONG: Final = 2
# What the processes that tools start are told apart by: they inherit it.
WORKER_PID: Final = "SNAKEPIT_WORKER_PID"


def run(arguments: Sequence[str], *, forked: bool = False) -> NoReturn:
    """Be a worker until the end, which is the process's too, without exit handlers.

    `forked`: this is the grandchild of a process that is no worker, and becomes the node's child only now.
    Exit codes: 0 drained, 1 the stream broke or the node refused, 2 the settings or the adapter are wrong,
    3 the node is gone.
    """
    # The node decides what an interrupt at the terminal means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[WORKER_PID] = str(os.getpid())
    try:
        settings = _settings.from_environment(os.environ, arguments)
        if forked and settings.node_pid is None:
            raise Invalid("SNAKEPIT_NODE_PID is not set; a forked worker cannot know its node without it")
    except SnakepitError as error:
        sys.stderr.write(f"snakepit.worker: {error}\n")
        _life.exit_now(EXIT_WRONG)
    try:
        _life.bind_to_node(settings.node_pid, wait_s=_life.ADOPTION_TIMEOUT_S if forked else 0.0)
    except SnakepitError as error:
        sys.stderr.write(f"snakepit.worker: {error}; {error.hint}\n")
        _life.exit_now(_life.EXIT_ORPHAN)
    _output.set_up(settings.log_level)

    from snakepit.worker._worker import Worker

    try:
        code = _run(Worker(settings))
    except SnakepitError as error:
        _output.logger.error("%s; %s", error, error.hint)
        code = EXIT_WRONG
    except BaseException:
        _output.logger.exception("the worker failed")
        code = EXIT_WRONG
    _life.exit_now(code)


def _run(worker: Worker) -> int:
    # Not run within the handler: a worker's exception would come with that of the import.
    try:
        import uvloop

        run: Callable[[Coroutine[Any, Any, int]], int] = uvloop.run
    except ImportError:
        run = asyncio.run
    return run(worker.run())
