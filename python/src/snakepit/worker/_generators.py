"""Generators and awaitables of tools, to their ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

_END: Final = object()


def close(items: Iterator[Any]) -> None:
    """Close a generator; other iterators have nothing to close."""
    found = getattr(items, "close", None)
    if found is not None:
        found()


async def aclose(items: AsyncIterator[Any]) -> None:
    """The same for async ones."""
    found = getattr(items, "aclose", None)
    if found is not None:
        await found()


async def awaited(value: Any) -> Any:
    """A coroutine of whatever can be awaited."""
    return await value


async def stepped(items: Iterator[Any]) -> AsyncIterator[Any]:
    """A sync generator's items, each made on a thread."""
    try:
        while (item := await asyncio.to_thread(next, items, _END)) is not _END:
            yield item
    finally:
        close(items)
