"""Events for a caller of `StreamTelemetry`, who switches, samples and filters them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Final

from snakepit._proto import snakepit_bridge_pb2 as pb

QUEUE_EVENTS_MAX: Final = 1024


class Controls:
    """Which events go out. Patterns are globs over the parts joined with dots."""

    def __init__(self) -> None:
        self.enabled = True
        self.rate = 1.0
        self.sampled: tuple[str, ...] = ()
        self.allow: tuple[str, ...] = ()
        self.deny: tuple[str, ...] = ()

    def apply(self, control: pb.TelemetryControl) -> None:
        """Take what the caller says."""
        match control.WhichOneof("control"):
            case "toggle":
                self.enabled = control.toggle.enabled
            case "sampling":
                self.rate = min(1.0, max(0.0, control.sampling.sampling_rate))
                self.sampled = tuple(control.sampling.event_patterns)
            case "filter":
                self.allow = tuple(control.filter.allow)
                self.deny = tuple(control.filter.deny)
            case _:
                pass

    def pass_on(self, event: pb.TelemetryEvent) -> bool:
        """Whether this event goes out."""
        if not self.enabled:
            return False
        name = ".".join(event.event_parts)
        if _matches(name, self.deny) or (self.allow and not _matches(name, self.allow)):
            return False
        if self.rate < 1.0 and (not self.sampled or _matches(name, self.sampled)):
            return random.random() < self.rate  # noqa: S311
        return True


class TelemetryStream:
    """A backend that keeps events for one caller; what he is too slow for is dropped and counted."""

    def __init__(self, *, events_max: int = QUEUE_EVENTS_MAX) -> None:
        self.controls = Controls()
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


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
