"""What goes back to the node: gathered while the write before is in flight, never held for a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from snakepit._proto.worker_v1_pb2 import Chunk, FromWorker, Result, Results

BATCH_MAX: Final = 64
BATCH_BYTES_MAX: Final = 1024 * 1024


class Outbox:
    """Results and chunks from any thread, in order, to one writer on the loop.

    Bounded by the calls and the chunks that the node has given credits for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_result: Callable[[int], None]) -> None:
        self._loop = loop
        self._on_result = on_result
        self._posted: deque[Result | Chunk] = deque()
        self._woken = False
        self._ready: deque[Result | Chunk] = deque()
        self._control: deque[FromWorker] = deque()
        self._last: FromWorker | None = None
        self._something = asyncio.Event()

    def post(self, item: Result | Chunk) -> None:
        """Send a result or a chunk; from any thread."""
        self._posted.append(item)
        self.wake()

    def keep(self, item: Result | Chunk) -> None:
        """Send with the next `post`, `wake` or `collect`; from any thread."""
        self._posted.append(item)

    def wake(self) -> None:
        """Have the loop collect what was posted; from any thread."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self.collect)

    def send(self, message: FromWorker) -> None:
        """Send a message before all results that wait; from the loop."""
        self._control.append(message)
        self._something.set()

    def finish(self, last: FromWorker) -> None:
        """Let the writer stop once everything is written, and `last` after it; from the loop."""
        self.collect()
        self._last = last
        self._something.set()

    async def write_all(self, write: Callable[[FromWorker], Awaitable[None]]) -> None:
        """Write until `finish`; ends with the writer's exception where the stream breaks."""
        while True:
            await self._something.wait()
            if self._control:
                await write(self._control.popleft())
            elif self._ready:
                await write(FromWorker(results=self._batch()))
            elif self._last is not None:
                await write(self._last)
                return
            else:
                self._something.clear()

    def collect(self) -> None:
        """Take over what threads have posted, and tell of each result; from the loop."""
        self._woken = False
        posted = self._posted
        while posted:
            item = posted.popleft()
            self._ready.append(item)
            if isinstance(item, Result):
                self._on_result(item.sequence)
        if self._ready:
            self._something.set()

    def _batch(self) -> Results:
        batch = Results()
        ready = self._ready
        size = 0
        for count in range(len(ready)):
            size += ready[0].ByteSize()
            if count and (count >= BATCH_MAX or size > BATCH_BYTES_MAX):
                break
            item = ready.popleft()
            if isinstance(item, Result):
                batch.results.append(item)
            else:
                batch.chunks.append(item)
        return batch
