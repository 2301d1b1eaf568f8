"""What goes back to the node: gathered while the write before is in flight, never held for a timer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from typing import Final

from snakepit._proto.worker_v1_pb2 import Chunk, FromWorker, Result, Results

BATCH_MAX: Final = 64
BATCH_BYTES_MAX: Final = 1024 * 1024


class Outbox:
    """Results and chunks from any thread, in order, to one writer on the loop.

    Bounded by the calls and the chunks that the node has given credits for. What is not written when a
    stream breaks is written to the next one. `more` is asked for messages to send behind all results.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_result: Callable[[int], None],
        more: Callable[[], FromWorker | None] | None = None,
    ) -> None:
        self._loop = loop
        # Not the waking call's own, which would keep that call's arguments alive.
        self._context = Context()
        self._on_result = on_result
        self._posted: deque[Result | Chunk] = deque()
        self._woken = False
        self._ready: deque[Result | Chunk] = deque()
        self._control: deque[FromWorker] = deque()
        self._last: FromWorker | None = None
        self._something = asyncio.Event()
        self._more = more or _nothing
        self._batch_bytes_max = BATCH_BYTES_MAX
        # Chunks that were written and that the node has not given a new credit for, by call.
        self._unacknowledged: dict[int, int] = {}
        self._unwanted: set[int] = set()

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
            # A call that outlives the loop has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.collect, context=self._context)

    def send(self, message: FromWorker) -> None:
        """Send a message before all results that wait; from the loop."""
        self._control.append(message)
        self._something.set()

    def limit_messages(self, bytes_max: int) -> None:
        """No batch of several is larger; from the loop."""
        self._batch_bytes_max = min(BATCH_BYTES_MAX, bytes_max // 2)

    def acknowledged(self, sequence: int, chunks: int) -> None:
        """The node has taken so many chunks more of a call; from the loop."""
        left = self._unacknowledged.get(sequence, 0) - chunks
        if left > 0:
            self._unacknowledged[sequence] = left
        else:
            self._unacknowledged.pop(sequence, None)

    def begin(self) -> list[int]:
        """A stream broke and another is to begin; from the loop.

        Returns the calls whose chunks may have been lost on the way: nothing of them is sent any more.
        """
        self.collect()
        self._control.clear()
        lost = list(self._unacknowledged)
        self._unacknowledged.clear()
        answered = {item.sequence for item in self._ready if isinstance(item, Result)}
        self._unwanted.update(sequence for sequence in lost if sequence not in answered)
        self._ready = deque(item for item in self._ready if item.sequence not in lost)
        return lost

    def unsent(self) -> list[int]:
        """The calls whose results wait to be written; from the loop."""
        self.collect()
        return [item.sequence for item in self._ready if isinstance(item, Result)]

    @property
    def finishing(self) -> bool:
        """Whether `finish` was called."""
        return self._last is not None

    def is_wanted(self, sequence: int) -> bool:
        """Whether a call's result will be sent."""
        return sequence not in self._unwanted

    def finish(self, last: FromWorker) -> None:
        """Let the writer stop once everything is written, and `last` after it; from the loop."""
        self.collect()
        self._last = last
        self._something.set()

    async def write_all(self, write: Callable[[FromWorker], Awaitable[None]]) -> None:
        """Write until `finish`; ends with the writer's exception where the stream breaks."""
        self._something.set()
        while True:
            await self._something.wait()
            if self._control:
                await write(self._control.popleft())
            elif self._ready:
                await write(FromWorker(results=self._batch()))
            elif (message := self._more()) is not None:
                await write(message)
            elif self._last is not None:
                await write(self._last)
                return
            else:
                self._something.clear()

    def collect(self) -> None:
        """Take over what threads have posted, and tell of each result; from the loop."""
        self._woken = False
        for item in self._take_posted():
            if not self._unwanted or item.sequence not in self._unwanted:
                self._ready.append(item)
            elif isinstance(item, Result):
                self._unwanted.discard(item.sequence)
            if isinstance(item, Result):
                self._on_result(item.sequence)
        self._something.set()

    def write_now(self, send: Callable[[FromWorker], None]) -> bool:
        """Write the results that were kept; from the thread that reads the stream, which nobody else does.

        False where the loop has to do it: the stream broke, or there is more to it than results.
        """
        if self._unwanted or self._unacknowledged:
            return False
        items = self._take_posted()
        try:
            for message in self._messages(items):
                send(message)
        except ConnectionError:
            self._posted.extendleft(reversed(items))
            return False
        for item in items:
            self._on_result(item.sequence)
        return True

    def _messages(self, items: list[Result | Chunk]) -> Iterator[FromWorker]:
        """The messages that hold these results."""
        message, size = FromWorker(), 0
        alone = len(items) == 1
        for item in items:
            # To ask for it costs as much as to encode it.
            size += 0 if alone else item.ByteSize()
            count = len(message.results.results)
            if count and (count >= BATCH_MAX or size > self._batch_bytes_max):
                yield message
                message, size = FromWorker(), item.ByteSize()
            if isinstance(item, Result):
                message.results.results.append(item)
            else:
                message.results.chunks.append(item)
        if items:
            yield message

    def _take_posted(self) -> list[Result | Chunk]:
        """What was posted; while others take too."""
        posted, items = self._posted, []
        try:
            while posted:
                items.append(posted.popleft())
        except IndexError:
            pass
        return items

    def _batch(self) -> Results:
        batch = Results()
        ready = self._ready
        size = 0
        for count in range(len(ready)):
            size += ready[0].ByteSize()
            if count and (count >= BATCH_MAX or size > self._batch_bytes_max):
                break
            item = ready.popleft()
            if isinstance(item, Result):
                batch.results.append(item)
                if self._unacknowledged:
                    self._unacknowledged.pop(item.sequence, None)
            else:
                batch.chunks.append(item)
                self._unacknowledged[item.sequence] = self._unacknowledged.get(item.sequence, 0) + 1
        return batch


def _nothing() -> None:
    return None
