"""The async surface as if it were the sync one, so that one table of tests runs against both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import snakepit


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Blocking:
    """An object of the async surface, waited for."""

    def __init__(self, loop: Loop, inner: Any) -> None:
        self._loop = loop
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        # What is `close` on the sync surface is `aclose` where Python's own protocol names it so.
        if name == "close" and not hasattr(self._inner, name):
            name = "aclose"
        return self._wrap(getattr(self._inner, name))

    def __iter__(self) -> Iterator[Any]:
        iterator = aiter(self._inner)
        while True:
            try:
                yield self._wrap(self._loop.run(_next(iterator)))
            except StopAsyncIteration:
                return

    def __next__(self) -> Any:
        try:
            return self._loop.run(_next(self._inner))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Any:
        return self._wrap(self._loop.run(self._inner.__aenter__()))

    def __exit__(self, *error: Any) -> Any:
        return self._loop.run(self._inner.__aexit__(*error))

    def _wrap(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            return self._wrap(self._loop.run(value))
        if inspect.ismethod(value):
            return lambda *args, **named: self._wrap(
                value(*(_bare(a) for a in args), **{k: _bare(v) for k, v in named.items()})
            )
        is_ours = type(value).__name__.startswith("Async") and type(value).__module__.startswith("snakepit")
        return Blocking(self._loop, value) if is_ours or inspect.isasyncgen(value) else value


async def _next(iterator: Any) -> Any:
    return await anext(iterator)


def _bare(value: Any) -> Any:
    return value._inner if isinstance(value, Blocking) else value


def connect(surface: str, endpoints: Any, **options: Any) -> Iterator[Any]:
    """A client of that surface, closed in the end."""
    if surface == "sync":
        with snakepit.connect(endpoints, **options) as client:
            yield client
        return
    loop = Loop()
    waited_for = Blocking(loop, snakepit.connect_async(endpoints, **options))
    try:
        yield waited_for
    finally:
        waited_for.close()
        loop.close()
