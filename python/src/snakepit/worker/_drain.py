"""The wish to end, wherever it comes from: it outlives the stream that brought it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from snakepit._proto.worker_v1_pb2 import FromWorker, Goodbye
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._outbox import Outbox


class Drain:
    """All methods are for the loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._deadline_ms = 0

    def ask(self, deadline_ms: int = 0) -> None:
        """Begin to drain. With a deadline, `overdue` tells when it is over."""
        if not self._asked.is_set():
            self._deadline_ms = deadline_ms
            self._asked.set()

    async def run(self, dispatcher: Dispatcher, outbox: Outbox) -> None:
        """Once it is asked for: let the calls end, then say goodbye."""
        await self._asked.wait()
        await dispatcher.drain()
        # After the results, which the writer takes first once it is told to finish.
        outbox.finish(FromWorker(goodbye=Goodbye()))

    async def overdue(self, act: Callable[[], None]) -> None:
        """Call `act` where a drain with a deadline has not ended by then."""
        await self._asked.wait()
        if self._deadline_ms:
            await asyncio.sleep(self._deadline_ms / 1000)
            act()
