"""Events for a caller of `StreamTelemetry`, who switches, samples and filters them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from snakepit._events import Controls
from snakepit._proto import snakepit_bridge_pb2 as pb

QUEUE_EVENTS_MAX: Final = 1024


class TelemetryStream:
    """A backend that keeps events for one caller; what he is too slow for is dropped and counted."""

    def __init__(self, *, events_max: int = QUEUE_EVENTS_MAX) -> None:
        self.controls = Controls(enabled=True)
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[pb.TelemetryEvent] = asyncio.Queue(events_max)

    def emit(self, event: pb.TelemetryEvent) -> None:
        """Take one; from any thread."""
        if self.controls.pass_on(event):
            self._loop.call_soon_threadsafe(self._put, event)

    async def events(self) -> AsyncIterator[pb.TelemetryEvent]:
        """All of them, as they come; without end."""
        while True:
            yield await self._queue.get()

    def _put(self, event: pb.TelemetryEvent) -> None:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1
