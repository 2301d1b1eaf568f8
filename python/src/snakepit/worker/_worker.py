"""The worker from load to goodbye."""

from __future__ import annotations

import asyncio
import gc
import signal

from snakepit.errors import SnakepitError, Unavailable
from snakepit.worker import _host, _life
from snakepit.worker._connection import Connection
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._job import Callbacks
from snakepit.worker._outbox import Outbox
from snakepit.worker._output import logger
from snakepit.worker._runner import Runner
from snakepit.worker._settings import Settings

EXIT_DRAINED = 0
EXIT_BROKEN = 1


class Worker:
    """One worker of one process; `run` returns its exit code."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self) -> int:
        """Load the adapter, dial the node, serve until drained. Raises where the adapter does not load."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        drained_early = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, drained_early.set)

        # Not on the loop's thread would be no gain: nothing else runs yet.
        host = _host.load(settings.adapter, instance=settings.instance, slots=settings.slots)
        dispatcher = Dispatcher(
            host, slots=settings.slots, credits=settings.credits, thread_sensitive=settings.thread_sensitive
        )
        outbox = Outbox(loop, dispatcher.finished)
        callbacks = Callbacks(f"unix:{settings.socket}", settings.message_bytes_max)
        runner = Runner(host, callbacks, outbox, loop, settings.message_bytes_max)
        await runner.start()
        # What is loaded stays: the collector need not walk it again and again.
        gc.freeze()

        connection = Connection(settings)
        try:
            welcome = await connection.greet(settings, host)
        except Unavailable as error:
            logger.error("%s", error)
            return EXIT_BROKEN
        if 0 < welcome.message_bytes_max < settings.message_bytes_max:
            runner.limit_messages(welcome.message_bytes_max)
        dispatcher.start(runner, outbox, chunk_credits=welcome.chunk_credits)
        logger.info("serving %s for node %d", settings.adapter, welcome.node_id)

        loop.add_signal_handler(signal.SIGTERM, connection.ask_drain)
        if drained_early.is_set():
            connection.ask_drain()
        overdue = asyncio.create_task(connection.drain_overdue(_overdue))
        drained = await connection.serve(welcome, dispatcher, outbox)
        overdue.cancel()
        if not drained:
            _life.exit_now(EXIT_BROKEN)
        try:
            await runner.stop()
        except SnakepitError as error:
            logger.error("cleanup: %s", error)
        return EXIT_DRAINED


def _overdue() -> None:
    logger.error("calls still run at the drain's deadline; they end with this process")
    _life.exit_now(EXIT_BROKEN)
