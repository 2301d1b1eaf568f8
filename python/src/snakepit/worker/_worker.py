"""The worker from load to goodbye."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from typing import Final

from snakepit import telemetry as events
from snakepit._proto.worker_v1_pb2 import Hello, Welcome
from snakepit.errors import Refused, SnakepitError, Unavailable
from snakepit.worker import _host, _life
from snakepit.worker._connection import Connection
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._drain import Drain
from snakepit.worker._hello import hello, takes_turns
from snakepit.worker._job import Callbacks
from snakepit.worker._outbox import Outbox
from snakepit.worker._output import logger
from snakepit.worker._redial import dial_again
from snakepit.worker._runner import Runner
from snakepit.worker._settings import Settings
from snakepit.worker._telemetry import Telemetry
from snakepit.worker._tool_loop import ToolLoop

EXIT_DRAINED: Final = 0
EXIT_BROKEN: Final = 1


class Worker:
    """One worker of one process; `run` returns its exit code."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._host: _host.Host
        self._dispatcher: Dispatcher
        self._outbox: Outbox
        self._runner: Runner
        self._telemetry = Telemetry()
        self._drain: Drain

    async def run(self) -> int:
        """Load the adapter, dial the node, serve until drained. Raises where the adapter does not load."""
        self._drain = Drain()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._drain.ask)
        await self._load()
        # What is loaded stays: the collector need not walk it again and again.
        gc.freeze()

        connection = Connection(
            self._settings.target, self._settings.message_bytes_max, frames=self._settings.frames
        )
        try:
            welcome = await connection.greet(hello(self._settings, self._host))
        except (Unavailable, Refused) as error:
            logger.error("%s", error)
            return EXIT_BROKEN
        self._obey(welcome)
        self._dispatcher.start(self._runner, self._outbox, chunk_credits=welcome.chunk_credits)
        if self._settings.slots > 1 and (why := takes_turns()):
            logger.warning("%s", why)
        logger.info("serving %s for node %d", self._settings.adapter, welcome.node_id)

        draining = asyncio.create_task(self._drain.run(self._dispatcher, self._outbox), name="drain")
        overdue = asyncio.create_task(self._drain.overdue(_overdue), name="overdue")
        began = time.monotonic()
        while not await connection.serve(
            welcome, self._dispatcher, self._outbox, self._telemetry, self._drain
        ):
            again = await self._dial_again(connection, time.monotonic() - began)
            if again is None:
                _life.exit_now(EXIT_BROKEN)
            connection, welcome = again
            began = time.monotonic()
        overdue.cancel()
        draining.cancel()
        try:
            await self._runner.stop()
        except SnakepitError as error:
            logger.error("cleanup: %s", error)
        return EXIT_DRAINED

    async def _load(self) -> None:
        settings = self._settings
        # Not on the loop's thread would be no gain: nothing else runs yet.
        self._host = _host.load(
            settings.adapter,
            instance=settings.instance,
            slots=settings.slots,
            concurrency=settings.concurrency,
        )
        tools = ToolLoop()
        self._dispatcher = Dispatcher(
            self._host,
            tools,
            slots=settings.slots,
            credits=settings.credits,
            thread_sensitive=settings.thread_sensitive,
            concurrency=settings.concurrency,
        )
        self._outbox = Outbox(
            asyncio.get_running_loop(), self._dispatcher.finished, more=self._telemetry.message
        )
        self._telemetry.wake_with(self._outbox.wake)
        events.send_to(self._telemetry)
        callbacks = Callbacks(settings.target, settings.message_bytes_max)
        self._runner = Runner(
            self._host,
            callbacks,
            self._outbox,
            tools,
            settings.message_bytes_max,
            telemetry=self._telemetry,
        )
        await self._runner.start()

    async def _dial_again(self, broken: Connection, lasted_s: float) -> tuple[Connection, Welcome] | None:
        lost = self._outbox.begin()
        if lost:
            logger.warning("%d streams end, for their chunks may be lost", len(lost))
        self._dispatcher.give_up(lost)
        await broken.close()
        found = await dial_again(self._settings, self._hello_again, lasted_s=lasted_s)
        if found is not None:
            self._obey(found[1])
            logger.info("the node took this worker back")
        return found

    def _hello_again(self) -> Hello:
        unsent = self._outbox.unsent()
        running = [n for n in self._dispatcher.held() if self._outbox.is_wanted(n)]
        return hello(self._settings, self._host, held=sorted({*unsent, *running}))

    def _obey(self, welcome: Welcome) -> None:
        """Take the node's limits where they are below ours."""
        bytes_max = self._settings.message_bytes_max
        if 0 < welcome.message_bytes_max < bytes_max:
            bytes_max = welcome.message_bytes_max
        self._runner.limit_messages(bytes_max)
        self._outbox.limit_messages(bytes_max)


def _overdue() -> None:
    logger.error("calls still run at the drain's deadline; they end with this process")
    _life.exit_now(EXIT_BROKEN)
