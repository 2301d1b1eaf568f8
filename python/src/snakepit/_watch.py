"""Watches and readings of the log: streams that go on where a node dies."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from snakepit._change import Update
from snakepit._ops.log import LogEvent, LogState
from snakepit._ops.watches import WatchState
from snakepit._sender import AsyncSender, Sender
from snakepit.errors import SnakepitError

T = TypeVar("T", Update, LogEvent)


class Resuming(Generic[T]):
    """An iterator over a stream, and a context manager that ends it.

    Where its node dies it goes on at another one, without gap or repeat. `close` may be called from any
    thread and wakes the one that waits.
    """

    __slots__ = ("_closed", "_ready", "_sender", "_state", "_stream")

    def __init__(self, sender: Sender, state: WatchState | LogState) -> None:
        self._sender = sender
        self._state: Any = state
        self._ready: deque[T] = deque()
        self._closed = threading.Event()
        self._stream: Any = None
        # What changes from now on is seen, though nothing is read yet.
        self._open()

    @property
    def position(self) -> int:
        """In the log, of the last that was read; 0 where there was none."""
        position: int = self._state.position
        return position

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._closed.is_set():
            if self._ready:
                return self._ready.popleft()
            try:
                update = self._next()
            except StopIteration:
                if self._state.ends:
                    self.close()
                else:
                    self._again(None)
            except SnakepitError as error:
                self._again(error)
            else:
                if update is not None:
                    return update
        raise StopIteration

    def close(self) -> None:
        """End it; a `for` over it ends."""
        self._closed.set()
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> T | None:
        if self._stream is None:
            if self._state.owes_values:
                self._ready.extend(self._sender.run(self._state.owed()))
            self._open()
            return None
        taken: T | None = self._state.take(next(self._stream))
        return taken

    def _open(self) -> None:
        call = self._state.call()
        stream: Any = self._sender.transport.stream(call.method, call.request, timeout_s=math.inf)
        self._stream = stream
        if self._closed.is_set():
            stream.close()
        self._state.opened(stream.index())

    def _again(self, error: SnakepitError | None) -> None:
        """Wait, to open it again. Raises the error where it is the end."""
        self._stream = None
        if not self._closed.is_set():
            self._closed.wait(self._state.broke(error))


class Watch(Resuming[Update]):
    """The updates of variables; a new watch `after` its position goes on from there.

    Ends with the errors of `snakepit.errors`: SessionNotFoundError where the session ended, FellBehind where
    the changes came faster than they were read.
    """

    __slots__ = ()


class Log(Resuming[LogEvent]):
    """Events of the log, in order."""

    __slots__ = ()


class AsyncResuming(Generic[T]):
    """The same for asyncio: an async iterator, and an async context manager that ends it.

    It begins when it is entered, or read for the first time.
    """

    __slots__ = ("_closed", "_ready", "_sender", "_state", "_stream")

    def __init__(self, sender: AsyncSender, state: WatchState | LogState) -> None:
        self._sender = sender
        self._state: Any = state
        self._ready: deque[T] = deque()
        self._closed = False
        self._stream: Any = None

    @property
    def position(self) -> int:
        """In the log, of the last that was read; 0 where there was none."""
        position: int = self._state.position
        return position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._closed:
            if self._ready:
                return self._ready.popleft()
            try:
                update = await self._next()
            except StopAsyncIteration:
                if self._state.ends:
                    await self.aclose()
                else:
                    await self._again(None)
            except SnakepitError as error:
                await self._again(error)
            else:
                if update is not None:
                    return update
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it; an `async for` over it ends."""
        self._closed = True
        if self._stream is not None:
            await self._stream.aclose()

    async def __aenter__(self) -> Self:
        if self._stream is None:
            await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _next(self) -> T | None:
        if self._stream is None:
            if self._state.owes_values:
                self._ready.extend(await self._sender.run(self._state.owed()))
            await self._open()
            return None
        taken: T | None = self._state.take(await anext(self._stream))
        return taken

    async def _open(self) -> None:
        call = self._state.call()
        stream: Any = self._sender.transport.stream(call.method, call.request, timeout_s=math.inf)
        self._stream = stream
        self._state.opened(await stream.index())

    async def _again(self, error: SnakepitError | None) -> None:
        """Wait, to open it again. Raises the error where it is the end."""
        self._stream = None
        if not self._closed:
            await asyncio.sleep(self._state.broke(error))


class AsyncWatch(AsyncResuming[Update]):
    """The updates of variables; see `Watch`."""

    __slots__ = ()


class AsyncLog(AsyncResuming[LogEvent]):
    """Events of the log, in order."""

    __slots__ = ()
