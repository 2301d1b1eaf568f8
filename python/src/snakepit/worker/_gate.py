"""Slots that several streams share: whoever comes first gets one, on threads and on loops alike."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class Gate:
    """So many at once. All methods are for any thread."""

    def __init__(self, slots: int) -> None:
        self._lock = threading.Lock()
        self._free = slots
        self._waiting: deque[Future[None]] = deque()

    def take_now(self) -> bool:
        """Take a slot; False where none is free."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True

    def take(self) -> None:
        """Wait for a slot on a thread, in turn."""
        self._enter().result()

    async def take_async(self) -> None:
        """Wait for a slot on a loop, in turn."""
        turn = self._enter()
        try:
            await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            # Where the cancellation came too late for the future, the slot is ours to give back.
            if not turn.cancel() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give a slot back, to the next in turn."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    break
            else:
                self._free += 1
                return
        turn.set_result(None)

    def _enter(self) -> Future[None]:
        turn: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                self._waiting.append(turn)
                return turn
        turn.set_running_or_notify_cancel()
        turn.set_result(None)
        return turn
