"""One node that gets the tools of a process which it did not start: dialled until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Final

from snakepit._methods import PRINCIPAL
from snakepit._proto.worker_v1_pb2 import Welcome
from snakepit.errors import Refused, SnakepitError, Unavailable
from snakepit.worker import _ambient
from snakepit.worker._connection import Connection
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._drain import Drain
from snakepit.worker._gate import Gate
from snakepit.worker._hello import offer
from snakepit.worker._host import Host
from snakepit.worker._job import Callbacks
from snakepit.worker._outbox import Outbox
from snakepit.worker._runner import Runner
from snakepit.worker._telemetry import Telemetry
from snakepit.worker._tool_loop import ToolLoop

logger: Final = logging.getLogger("snakepit.serve")
PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
# A node that says no for good may have changed its mind: another pool may have given up the name.
_PAUSE_REFUSED_S: Final = 30.0
_CREDITS_PER_SLOT: Final = 2


@dataclass(frozen=True, slots=True)
class Served:
    """What all streams of one process have in common."""

    name: str
    worker_id: str
    host: Host
    slots: int
    principal: str
    message_bytes_max: int
    gate: Gate
    tools: ToolLoop


class Offer:
    """The streams to one node, one after the other. All methods are for the loop."""

    def __init__(self, target: str, served: Served) -> None:
        self.target = target
        # The node, while a stream to it lives; 0 otherwise.
        self.node_id = 0
        # What came of the last try that has ended or got its stream: None for a stream.
        self.error: SnakepitError | None = None
        # Set once the first try has come to something.
        self.tried = asyncio.Event()
        self._served = served
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let the calls end, say goodbye, and dial no more."""
        self._stopping.set()

    async def run(self, main: Runner | None) -> None:
        """Serve until stopped, through any number of streams; `main` has the instance that all share."""
        pause_s = PAUSE_MIN_S
        while not self._stopping.is_set():
            try:
                await self._serve_once(main)
                pause_s = PAUSE_MIN_S
            except (Unavailable, Refused) as error:
                logger.log(
                    logging.ERROR if isinstance(error, Refused) else logging.DEBUG,
                    "%s: %s",
                    self.target,
                    error,
                )
                self._came_to(error)
                refused = isinstance(error, Refused)
                pause_s = _PAUSE_REFUSED_S if refused else min(PAUSE_MAX_S, 2 * pause_s)
            with contextlib.suppress(TimeoutError):
                jittered_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311
                await asyncio.wait_for(self._stopping.wait(), jittered_s)

    async def _serve_once(self, main: Runner | None) -> None:
        served = self._served
        metadata = ((PRINCIPAL, served.principal),) if served.principal else ()
        connection = Connection(self.target, served.message_bytes_max, keepalive=True, metadata=metadata)
        try:
            credits = _CREDITS_PER_SLOT * served.slots
            hello = offer(served.name, served.worker_id, served.host, slots=served.slots, credits=credits)
            welcome = await connection.greet(hello)
            self.node_id = welcome.node_id
            logger.info("%s: node %d has the tools of %s", self.target, welcome.node_id, served.name)
            self._came_to(None)
            await self._carry(connection, welcome, main, credits)
        finally:
            self.node_id = 0
            await connection.close()

    async def _carry(
        self, connection: Connection, welcome: Welcome, main: Runner | None, credits: int
    ) -> None:
        """One stream, whose calls end with it: no other stream can answer them."""
        served = self._served
        dispatcher = Dispatcher(
            served.host,
            served.tools,
            slots=served.slots,
            credits=credits,
            thread_sensitive=False,
            gate=served.gate,
        )
        telemetry = Telemetry()
        outbox = Outbox(asyncio.get_running_loop(), dispatcher.finished, more=telemetry.message)
        telemetry.wake_with(outbox.wake)
        bytes_max = served.message_bytes_max
        if 0 < welcome.message_bytes_max < bytes_max:
            bytes_max = welcome.message_bytes_max
        callbacks = Callbacks(self.target, bytes_max)
        runner = Runner(served.host, callbacks, outbox, served.tools, bytes_max, telemetry=telemetry)
        if main is not None:
            runner.share_with(main)
        outbox.limit_messages(bytes_max)
        dispatcher.start(runner, outbox, chunk_credits=welcome.chunk_credits)
        drain = Drain()
        tasks = [
            asyncio.create_task(drain.run(dispatcher, outbox), name="drain"),
            asyncio.create_task(self._ask(drain), name="stop"),
        ]
        _ambient.add(telemetry)
        try:
            if not await connection.serve(welcome, dispatcher, outbox, telemetry, drain):
                logger.warning("%s: the stream to node %d broke", self.target, welcome.node_id)
        finally:
            _ambient.remove(telemetry)
            for task in tasks:
                task.cancel()
            dispatcher.close()
            callbacks.close()

    async def _ask(self, drain: Drain) -> None:
        await self._stopping.wait()
        drain.ask()

    def _came_to(self, error: SnakepitError | None) -> None:
        self.error = error
        self.tried.set()
