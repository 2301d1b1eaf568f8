"""Serve an adapter over gRPC, as Snakepit's pool starts it.

``python grpc_server.py --adapter pkg.mod.Class --port N --elixir-address host:port`` (or
``python -m snakepit_bridge.grpc_server``). Prints ``GRPC_READY:<port>`` and writes the port to the file that
SNAKEPIT_READY_FILE names. Tools run here; calls about sessions go on to the address.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not __package__:
    # Started by its path: this folder has modules that are named as some of the standard library.
    del sys.path[0]

import asyncio
import contextlib
import dataclasses
import os

from snakepit.errors import SnakepitError
from snakepit.worker import _host, _life
from snakepit_bridge._server import flags as _flags
from snakepit_bridge._server.server import serve
from snakepit_bridge.logging_config import configure_logging, get_logger


def main(*, threaded: bool = False) -> None:
    """Run the server; exit code 0 after SIGTERM, 2 where the adapter or a flag is wrong.

    `threaded`: refuse adapters that do not declare themselves thread safe.
    """
    flags = _flags.parse()
    if threaded:
        flags = dataclasses.replace(flags, needs_thread_safety=True)
    configure_logging()
    if os.environ.get("SNAKEPIT_PROCESS_GROUP") == "1":
        with contextlib.suppress(OSError):
            os.setsid()
    try:
        if flags.health_check:
            _host.load(flags.adapter)
            return
        asyncio.run(serve(flags))
    except SnakepitError as error:
        get_logger("grpc_server").error("%s; %s", error, error.hint)
        sys.stderr.write(f"grpc_server: {error}\n")
        sys.exit(2)
    _life.exit_now(0)


if __name__ == "__main__":
    main()
