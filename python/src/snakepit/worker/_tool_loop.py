"""The event loop of async tools, in a thread of its own: what blocks it blocks no other."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class ToolLoop:
    """Started by its first use. All methods are for any thread but the loop's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: asyncio.AbstractEventLoop | None = None
        self._posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        # Not the poster's own, which would keep the call that runs there alive.
        self._context = Context()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        return self._made or self._start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def post(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function there, in the order of the posts; it must not raise."""
        self._posted.append((function, arguments))
        # Waking a loop takes a system call, so the calls of a batch share one.
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._run_posted, context=self._context)

    def close(self) -> None:
        """Stop the loop, where it runs; what is under way there is not waited for."""
        if self._made is not None:
            self._made.call_soon_threadsafe(self._made.stop)

    def _run_posted(self) -> None:
        self._woken = False
        while self._posted:
            function, arguments = self._posted.popleft()
            function(*arguments)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._made is None:
                made = _new_loop()
                threading.Thread(target=_serve, args=(made,), name="snakepit-async", daemon=True).start()
                self._made = made
            return self._made


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made
