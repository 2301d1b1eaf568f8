"""Sends what `_ops` makes: the one difference between the surfaces."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from snakepit._methods import AsyncTransport, Transport
from snakepit._scope import Apply, Call, Page, Steps
from snakepit.errors import SnakepitError

R = TypeVar("R")
T = TypeVar("T")


class Sender:
    """Over a transport that blocks."""

    __slots__ = ("timeout_s", "transport")

    def __init__(self, transport: Transport, timeout_s: float | None = None) -> None:
        self.transport = transport
        self.timeout_s = timeout_s

    def send(self, call: Call[R]) -> R:
        """One call."""
        return call.read(self.transport.unary(call.method, call.request, timeout_s=self.timeout_s))

    def run(self, steps: Steps[R]) -> R:
        """Several, one after the other."""
        try:
            step = next(steps)
            while True:
                try:
                    done = self._do(step)
                except SnakepitError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: R = end.value
            return result

    def pages(self, call: Call[Page[T]]) -> Iterator[T]:
        """A list, asked for as it is read."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = self.send(following)
            yield from page.items
            following = page.following

    def _do(self, step: Call[Any] | Apply) -> Any:
        return step.function(step.argument) if isinstance(step, Apply) else self.send(step)


class AsyncSender:
    """Over a transport for asyncio."""

    __slots__ = ("timeout_s", "transport")

    def __init__(self, transport: AsyncTransport, timeout_s: float | None = None) -> None:
        self.transport = transport
        self.timeout_s = timeout_s

    async def send(self, call: Call[R]) -> R:
        """One call."""
        return call.read(await self.transport.unary(call.method, call.request, timeout_s=self.timeout_s))

    async def run(self, steps: Steps[R]) -> R:
        """Several, one after the other."""
        try:
            step = next(steps)
            while True:
                try:
                    done = await self._do(step)
                except SnakepitError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: R = end.value
            return result

    async def pages(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """A list, asked for as it is read."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = await self.send(following)
            for item in page.items:
                yield item
            following = page.following

    async def _do(self, step: Call[Any] | Apply) -> Any:
        if isinstance(step, Call):
            return await self.send(step)
        done = step.function(step.argument)
        return await done if inspect.isawaitable(done) else done
