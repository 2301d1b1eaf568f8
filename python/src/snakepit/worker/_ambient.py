"""What offers share with the process that makes them: its standard output, and where its events go.

A worker's process is the runtime's own and sets both up by itself; here they are lent while there are offers.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from snakepit import telemetry as events
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._running import Stream, current
from snakepit.worker._capture import CallStream
from snakepit.worker._job import Job
from snakepit.worker._telemetry import Telemetry


class _Sinks:
    """Events of a process that serves several nodes.

    What a call emits goes to the node that sent it, other events to all nodes that ask for them.
    """

    def __init__(self) -> None:
        self._all: tuple[Telemetry, ...] = ()

    def add(self, telemetry: Telemetry) -> None:
        self._all = (*self._all, telemetry)

    def remove(self, telemetry: Telemetry) -> None:
        self._all = tuple(one for one in self._all if one is not telemetry)

    @property
    def on(self) -> bool:
        """Whether any node listens."""
        return any(one.on for one in self._all)

    def wants(self, name: str) -> bool:
        """Whether anybody may want it: each node's own wishes are looked at by `take`."""
        return self.on and bool(name)

    def take(self, event: pb.TelemetryEvent) -> None:
        """Hand an event on to whom it concerns and who wants it."""
        name = ".".join(event.event_parts)
        call = current.get()
        own = call.telemetry if isinstance(call, Job) else None
        for one in self._all if own is None else (own,):
            if one.wants(name):
                one.take(event)


_LOCK: Final = threading.Lock()
_SINKS: Final = _Sinks()


class _Lent:
    """How many offers there are, and what was there before the first."""

    count = 0
    streams: dict[Stream, Any] = {}  # noqa: RUF012


def begin() -> None:
    """Tools are offered from now on: what calls print is kept for results, and still goes where it went."""
    with _LOCK:
        _Lent.count += 1
        if _Lent.count > 1:
            return
        if events.sink() is None:
            events.send_to(_SINKS)
        for name in ("stdout", "stderr"):
            below = getattr(sys, name)
            # None in a process without a console; a worker's own is one already.
            if below is not None and not isinstance(below, CallStream):
                _Lent.streams[name] = CallStream(below, name, passes_on=True)
                setattr(sys, name, _Lent.streams[name])


def end() -> None:
    """The end of an offer that has begun; after the last one all is as before."""
    with _LOCK:
        _Lent.count -= 1
        if _Lent.count:
            return
        if events.sink() is _SINKS:
            events.send_to(None)
        for name, stream in _Lent.streams.items():
            # Somebody else may have put another one there meanwhile.
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.below)
        _Lent.streams.clear()


def add(telemetry: Telemetry) -> None:
    """A stream to a node begins."""
    with _LOCK:
        _SINKS.add(telemetry)


def remove(telemetry: Telemetry) -> None:
    """It has ended."""
    with _LOCK:
        _SINKS.remove(telemetry)
