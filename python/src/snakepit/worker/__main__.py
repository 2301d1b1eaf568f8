"""``python -m snakepit.worker``: see the package."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from snakepit.errors import SnakepitError
from snakepit.worker import _life, _output, _settings

if TYPE_CHECKING:
    from snakepit.worker._worker import Worker


def main() -> NoReturn:
    """Run this process as a worker.

    Exit codes: 0 drained, 1 the stream broke or the node refused, 2 the settings or the adapter are wrong,
    3 the node is gone.
    """
    # The node decides what an interrupt at the terminal means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = _settings.from_environment(os.environ, sys.argv[1:])
    except SnakepitError as error:
        sys.stderr.write(f"snakepit.worker: {error}\n")
        sys.exit(2)
    try:
        _life.bind_to_node(settings.node_pid)
    except SnakepitError as error:
        sys.stderr.write(f"snakepit.worker: {error}; {error.hint}\n")
        sys.exit(_life.EXIT_ORPHAN)
    _output.set_up(settings.log_level)

    from snakepit.worker._worker import Worker

    try:
        code = _run(Worker(settings))
    except SnakepitError as error:
        _output.logger.error("%s; %s", error, error.hint)
        code = 2
    except BaseException:
        _output.logger.exception("the worker failed")
        code = 2
    _life.exit_now(code)


def _run(worker: Worker) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(worker.run())
    code: int = uvloop.run(worker.run())
    return code


if __name__ == "__main__":
    main()
