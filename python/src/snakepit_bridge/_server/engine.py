"""The worker's own machinery, driven by requests instead of a node's stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from snakepit._methods import A, Method, Q, Transport
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto.worker_v1_pb2 import Call, Chunk, FromWorker, Result
from snakepit.errors import Unavailable
from snakepit.worker import _host, _outcome
from snakepit.worker._dispatcher import DEADLINE, Dispatcher
from snakepit.worker._job import Callbacks, Job
from snakepit.worker._outbox import Outbox
from snakepit.worker._runner import Runner
from snakepit.worker._tool_loop import ToolLoop

MESSAGE_BYTES_MAX: Final = 100 * 1024 * 1024
WAITING_MAX: Final = 1024
_CHUNK_CREDITS: Final = 64
NO_ADDRESS: Final = "no sessions here: start it with --elixir-address"


class _NoCallbacks(Callbacks):
    """Callbacks of a server that was not told where sessions are kept."""

    def __init__(self) -> None:
        # Nothing to connect to.
        pass

    def transport(self, job: Job) -> Transport:
        del job
        return _NoTransport()


class _NoTransport:
    def unary(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        del method, request, timeout_s
        raise Unavailable(NO_ADDRESS)

    def stream(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> Iterator[A]:
        del method, request, timeout_s
        raise Unavailable(NO_ADDRESS)


class Engine:
    """Runs an adapter's tools. All methods are for the loop."""

    def __init__(self, adapter: str, *, address: str, slots: int, thread_sensitive: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.host = _host.load(adapter, slots=slots)
        self._tools = ToolLoop()
        self._dispatcher = Dispatcher(
            self.host,
            self._tools,
            slots=slots,
            credits=slots + WAITING_MAX,
            thread_sensitive=thread_sensitive,
        )
        self._outbox = Outbox(loop, self._dispatcher.finished)
        callbacks = Callbacks(address, MESSAGE_BYTES_MAX) if address else _NoCallbacks()
        self._runner = Runner(
            self.host,
            callbacks,
            self._outbox,
            self._tools,
            MESSAGE_BYTES_MAX,
            announces=bool(address),
            # Snakepit itself knows no raw lists.
            raw_arrays=False,
        )
        self._waiting: dict[int, asyncio.Queue[Result | Chunk]] = {}
        self._sequence = 0
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make what lives as long as the process, and serve."""
        await self._runner.start()
        self._dispatcher.start(self._runner, self._outbox, chunk_credits=_CHUNK_CREDITS)
        self._writing = asyncio.create_task(self._outbox.write_all(self._route), name="route")

    async def stop(self, grace_s: float) -> None:
        """Let what runs end, for so long, and clean up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._dispatcher.drain(), grace_s)
        await self._runner.stop()
        if self._writing is not None:
            self._writing.cancel()
        self._tools.close()

    async def run(
        self, request: pb.ExecuteToolRequest, *, stream: bool, deadline_ms: int
    ) -> AsyncIterator[Any]:
        """A call's chunks, then its result. Closing it cancels the call."""
        self._sequence += 1
        sequence = self._sequence
        found: asyncio.Queue[Result | Chunk] = asyncio.Queue()
        self._waiting[sequence] = found
        call = Call(
            sequence=sequence,
            call_id=f"call-{sequence}",
            session_id=request.session_id,
            tool=request.tool_name,
            parameters=request.parameters,
            binary_parameters=request.binary_parameters,
            metadata=request.metadata,
            deadline_ms=deadline_ms,
            stream=stream,
        )
        ended = False
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_ms / 1000 if deadline_ms else None
        try:
            self._dispatcher.accept([call])
            while not ended:
                try:
                    async with asyncio.timeout_at(ends):
                        item = await found.get()
                except TimeoutError:
                    # A sync tool cannot be stopped, but its caller need not wait.
                    yield _outcome.of_failure(sequence, DEADLINE, f"the deadline, {deadline_ms} ms, is over")
                    return
                ended = isinstance(item, Result)
                yield item
                if not ended:
                    self._dispatcher.add_chunk_credits(sequence, 1)
        finally:
            del self._waiting[sequence]
            if not ended:
                self._dispatcher.cancel([sequence], "the caller is gone")

    async def _route(self, message: FromWorker) -> None:
        # Chunks first: a call's result is behind its chunks, also where both are in one batch.
        items: list[Result | Chunk] = [*message.results.chunks, *message.results.results]
        for item in items:
            waiting = self._waiting.get(item.sequence)
            if waiting is not None:
                waiting.put_nowait(item)
