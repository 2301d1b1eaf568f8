"""A variable that one writer holds, as a context manager."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from snakepit._ops import locks, variables
from snakepit._ops.locks import Ask, Held
from snakepit._sender import AsyncSender, Sender
from snakepit.errors import Refused, SnakepitError

S = TypeVar("S")


class _Base(Generic[S]):
    """What both surfaces know of an optimization, without asking."""

    __slots__ = ("_ask", "_held", "_sender", "_value", "_version")

    def __init__(self, sender: S, ask: Ask) -> None:
        self._sender = sender
        self._ask = ask
        self._held: Held | None = None
        self._value: Any = None
        self._version = 0

    @property
    def name(self) -> str:
        """The variable's name."""
        return self._ask.name

    @property
    def id(self) -> str:
        """The optimization's id, which the owner's writes carry. Raises Refused before it is entered."""
        return self._holds().id

    @property
    def optimizer_id(self) -> str:
        """Who optimizes; entering again with the same one takes the lock over."""
        return self._ask.optimizer_id

    @property
    def expires_at(self) -> datetime:
        """When the lock ends, as the last start or renewal told; writes renew it too."""
        return self._holds().expires_at

    @property
    def value(self) -> Any:
        """The value when it was locked, or that set last; after the end, the final one."""
        return self._value

    @property
    def version(self) -> int:
        """That of `value`."""
        return self._version

    def _holds(self) -> Held:
        if self._held is None:
            raise Refused(f"no optimization of {self._ask.name} runs here", hint="enter it with `with`")
        return self._held

    def _wrote(self, value: Any, version: int) -> int:
        self._value, self._version = value, version
        return version


class Optimization(_Base[Sender]):
    """A lock on a variable: only writes through it are taken, until it is left or its lease ends."""

    __slots__ = ()

    def set(self, value: Any, *, expected_version: int = 0, metadata: Mapping[str, str] | None = None) -> int:
        """Set the variable; returns its new version. Renews the lease."""
        call = variables.set_value(
            self._ask.owner(self._holds()),
            self.name,
            value,
            expected_version=expected_version,
            metadata=metadata,
        )
        return self._wrote(value, self._sender.send(call))

    def renew(self) -> datetime:
        """Renew the lease; returns when it ends now."""
        self._held = self._sender.send(self._ask.start())
        return self._held.expires_at

    def __enter__(self) -> Self:
        self._held = self._sender.send(self._ask.start())
        try:
            read = self._sender.send(variables.variable(self._ask.scope, self.name, bypass_cache=True))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self._wrote(read.value, read.version)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._holds(), None
        # A body's own error is worth more than that of unlocking.
        with contextlib.suppress(*((SnakepitError,) if kind else ())):
            self._value = self._sender.send(locks.stop(self._ask.owner(held), self.name, held.id))


class AsyncOptimization(_Base[AsyncSender]):
    """The same for asyncio."""

    __slots__ = ()

    async def set(
        self, value: Any, *, expected_version: int = 0, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Set the variable; returns its new version. Renews the lease."""
        call = variables.set_value(
            self._ask.owner(self._holds()),
            self.name,
            value,
            expected_version=expected_version,
            metadata=metadata,
        )
        return self._wrote(value, await self._sender.send(call))

    async def renew(self) -> datetime:
        """Renew the lease; returns when it ends now."""
        self._held = await self._sender.send(self._ask.start())
        return self._held.expires_at

    async def __aenter__(self) -> Self:
        self._held = await self._sender.send(self._ask.start())
        try:
            read = await self._sender.send(variables.variable(self._ask.scope, self.name, bypass_cache=True))
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        self._wrote(read.value, read.version)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._holds(), None
        # A body's own error is worth more than that of unlocking.
        with contextlib.suppress(*((SnakepitError,) if kind else ())):
            self._value = await self._sender.send(locks.stop(self._ask.owner(held), self.name, held.id))
