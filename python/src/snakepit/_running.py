"""The call that runs here: every thread and every task of a worker has its own."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from snakepit._session import Session

Stream = Literal["stdout", "stderr"]


class Running(Protocol):
    """What code that runs in a call may ask of it."""

    @property
    def session(self) -> Session:
        """The caller's."""
        ...

    @property
    def correlation_id(self) -> str:
        """What the caller named this and related calls; empty where nothing."""
        ...

    def write(self, stream: Stream, text: str) -> None:
        """Take what was printed."""
        ...


# Set by the runtime around each call. Tasks and `asyncio.to_thread` inherit it, other threads do not.
current: Final[ContextVar[Running | None]] = ContextVar("snakepit_call", default=None)
