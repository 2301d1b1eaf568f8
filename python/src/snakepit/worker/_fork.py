"""Forks one worker off a zygote: twice, so that it is the node's child and not the zygote's."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from snakepit.worker import _life

_ANSWER_BYTES_MAX: Final = 512
_EXIT_FAILED: Final = 70
_NAME: Final = "snakepit-worker"


def worker(
    channel: socket.socket,
    environment: Mapping[str, str | None],
    adapter: str,
    outputs: tuple[int, int],
) -> int:
    """Start a worker and return its pid, when it leads its process group and has left this family.

    `outputs` are what becomes its standard output and error. Raises OSError where the system has no process
    to give.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    reader, writer = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            _between(channel, environment, adapter, outputs, writer)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        answer = _read_all(reader)
    finally:
        os.close(reader)
        # Only when it is gone is the worker the node's child.
        os.waitpid(between, 0)
    if not answer.isdigit():
        raise OSError(f"cannot fork: {answer.decode(errors='replace') or 'the process in between died'}")
    return int(answer)


def point_to_null(descriptor: int) -> None:
    """Have a descriptor read nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def _between(
    channel: socket.socket,
    environment: Mapping[str, str | None],
    adapter: str,
    outputs: tuple[int, int],
    writer: int,
) -> NoReturn:
    """The child, which lives as long as it takes to fork the grandchild."""
    try:
        if os.fork() == 0:
            _worker(channel, environment, adapter, outputs, writer)
    except OSError as error:
        os.write(writer, str(error).encode()[:_ANSWER_BYTES_MAX])
    finally:
        os._exit(0)


def _worker(
    channel: socket.socket,
    environment: Mapping[str, str | None],
    adapter: str,
    outputs: tuple[int, int],
    writer: int,
) -> NoReturn:
    """The grandchild: a worker to its end, which never returns to the zygote's code."""
    try:
        os.setpgid(0, 0)
        os.write(writer, b"%d" % os.getpid())
        os.close(writer)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        # Before the descriptor is closed below, so that it is not closed again later.
        channel.detach()
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        gc.enable()
        _reset_signals()
        _life.set_name(_NAME)
        _apply(environment)
        _seed()
        arguments = ["--adapter", adapter] if adapter else []
        sys.argv[1:] = arguments

        from snakepit.worker import _process

        _process.run(arguments, forked=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(_EXIT_FAILED)


def _reset_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _apply(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _seed() -> None:
    """Workers of one zygote must not draw the same numbers."""
    random.seed()
    numbers: Any = sys.modules.get("numpy.random")
    if numbers is not None:
        numbers.seed()


def _read_all(reader: int) -> bytes:
    """What was written, once all writers have closed; they do at once."""
    found = b""
    while piece := os.read(reader, _ANSWER_BYTES_MAX):
        found += piece
    return found
