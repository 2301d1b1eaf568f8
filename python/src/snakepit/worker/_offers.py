"""The tools of one process, offered to several nodes at once, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Sequence
from typing import Final

from snakepit._endpoints import MESSAGE_BYTES_MAX, NO_ENDPOINTS
from snakepit.errors import Invalid, Refused, SnakepitError, Unavailable
from snakepit.worker import _ambient
from snakepit.worker._gate import Gate
from snakepit.worker._host import Host
from snakepit.worker._job import Callbacks
from snakepit.worker._offer import Offer, Served, logger
from snakepit.worker._outbox import Outbox
from snakepit.worker._runner import Runner
from snakepit.worker._tool_loop import ToolLoop

# What is left of the streams once the calls have ended.
_GOODBYE_S: Final = 3.0
SLOTS_MAX: Final = 1024


class Offers:
    """One stream to each node. All methods are for one loop."""

    def __init__(
        self, host: Host, targets: Sequence[str], *, name: str, slots: int, principal: str = ""
    ) -> None:
        if not targets:
            raise Invalid("no endpoints", hint=NO_ENDPOINTS)
        if not name:
            raise Invalid("the tools have no name", hint="give name=, as of a pool")
        if not 1 <= slots <= SLOTS_MAX:
            raise Invalid(f"slots is {slots}; it is a whole number from 1 to {SLOTS_MAX}")
        self._tools = ToolLoop()
        self._served = Served(
            name=name,
            worker_id=f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            host=host,
            slots=slots,
            principal=principal,
            message_bytes_max=MESSAGE_BYTES_MAX,
            gate=Gate(slots),
            tools=self._tools,
        )
        self._targets = tuple(dict.fromkeys(targets))
        self._offers: list[Offer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = False
        self._main: Runner | None = None
        self._main_callbacks: Callbacks | None = None

    @property
    def nodes(self) -> list[int]:
        """The nodes that have the tools now."""
        return sorted({offer.node_id for offer in self._offers if offer.node_id})

    async def start(self, timeout_s: float) -> None:
        """Dial all nodes; returns when each was tried and at least one has the tools.

        Raises Refused where a node does not take them, and Unavailable where none answers in time.
        """
        _ambient.begin()
        self._begun = True
        try:
            await self._make_instance()
        except BaseException:
            await self.stop(0.0)
            raise
        loop = asyncio.get_running_loop()
        for target in self._targets:
            offer = Offer(target, self._served)
            self._offers.append(offer)
            self._tasks.append(loop.create_task(offer.run(self._main), name=f"offer {target}"))
        try:
            await self._begin(loop.time() + timeout_s, timeout_s)
        except SnakepitError:
            await self.stop(0.0)
            raise

    async def _begin(self, ends: float, timeout_s: float) -> None:
        """Wait until each node was tried and one has the tools.

        A try may break before it hears what the node says, so all are asked again what they came to.
        """
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                for offer in self._offers:
                    await offer.tried.wait()
        while True:
            errors = [offer.error for offer in self._offers if offer.error is not None]
            refused = next((error for error in errors if isinstance(error, Refused)), None)
            if refused is not None:
                raise refused
            if self.nodes:
                return
            if loop.time() >= ends:
                why = str(errors[0]) if errors else "no answer"
                raise Unavailable(f"no node took the tools within {timeout_s:g} s: {why}")
            await asyncio.sleep(0.02)

    async def stop(self, timeout_s: float) -> None:
        """Take the tools away: calls that run may end within `timeout_s`, the others are given up."""
        for offer in self._offers:
            offer.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s + _GOODBYE_S if timeout_s else 0.01)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._main is not None:
            try:
                await self._main.stop()
            except Exception as error:
                logger.error("cleanup: %s", error)
        if self._main_callbacks is not None:
            self._main_callbacks.close()
        self._tools.close()
        if self._begun:
            self._begun = False
            _ambient.end()

    async def _make_instance(self) -> None:
        """What lives as long as the process, made once for all streams."""
        host = self._served.host
        if not host.per_worker:
            return
        self._main_callbacks = Callbacks(self._targets[0], MESSAGE_BYTES_MAX)
        outbox = Outbox(asyncio.get_running_loop(), lambda _: None)
        self._main = Runner(host, self._main_callbacks, outbox, self._tools, MESSAGE_BYTES_MAX)
        await self._main.start()
