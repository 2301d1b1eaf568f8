"""What a context has read, for a while. It is made with the context, so nothing in it is older."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from snakepit._proto import snakepit_bridge_pb2 as pb

TTL_DEFAULT: Final = timedelta(seconds=5)


@dataclass
class CachedVariable:
    """A variable as read at a moment of the monotonic clock."""

    variable: pb.Variable
    cached_at: float
    ttl: timedelta = TTL_DEFAULT

    @property
    def expired(self) -> bool:
        """Whether it is to be read again."""
        return time.monotonic() - self.cached_at >= self.ttl.total_seconds()

    def refresh(self, variable: pb.Variable) -> None:
        """Take what was read again."""
        self.variable = variable
        self.cached_at = time.monotonic()


class Cache:
    """Variables by id and by name. Safe to share between threads."""

    def __init__(self) -> None:
        self._ttl = TTL_DEFAULT
        self._found: dict[str, CachedVariable] = {}
        # A variable's type stays, so it may be known for longer than its value.
        self._types: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, identifier: str) -> pb.Variable | None:
        """A variable that may still be used."""
        with self._lock:
            cached = self._found.get(identifier)
            return None if cached is None or cached.expired else cached.variable

    def put(self, variable: pb.Variable, asked: str = "", *, asked_at: float | None = None) -> None:
        """Keep a variable, which was true when it was asked for."""
        with self._lock:
            names = {variable.id, variable.name, asked} - {""}
            self._types.update(dict.fromkeys(names, variable.type))
            if self._ttl:
                at = time.monotonic() if asked_at is None else asked_at
                cached = CachedVariable(variable, at, self._ttl)
                self._found.update(dict.fromkeys(names, cached))

    def know_type(self, name: str, kind: str) -> None:
        """Keep a variable's type."""
        with self._lock:
            self._types[name] = kind

    def type_of(self, identifier: str) -> str | None:
        """A variable's type, where it was seen."""
        with self._lock:
            return self._types.get(identifier)

    def forget(self, identifier: str, *, type_too: bool = False) -> None:
        """Drop a variable's value, under its id and its name."""
        with self._lock:
            cached = self._found.get(identifier)
            names = {identifier}
            if cached is not None:
                names |= {cached.variable.id, cached.variable.name}
            for name in names:
                self._found.pop(name, None)
                if type_too:
                    self._types.pop(name, None)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._found.clear()
            self._types.clear()

    def set_ttl(self, ttl: timedelta) -> None:
        """How long what is read from now on may be used; nothing is kept where it is zero."""
        with self._lock:
            self._ttl = max(ttl, timedelta())
            if not self._ttl:
                self._found.clear()
