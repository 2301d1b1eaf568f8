"""The optional base class of adapters, and the session of the call that is running."""

from __future__ import annotations

from contextvars import ContextVar
from typing import ClassVar, Final, Literal

from snakepit._session import Session
from snakepit.errors import Refused

# Set by the runtime around each call; every thread and every task has its own.
current_session: Final[ContextVar[Session | None]] = ContextVar("snakepit_session", default=None)


class Adapter:
    """A base class for classes of tools; a plain class with `@tool` methods works too.

    One instance serves one request, unless `instance` or the environment's SNAKEPIT_WORKER_INSTANCE says
    `worker`: then one serves them all, from several threads where the pool has several slots. `initialize`
    and `cleanup`, sync or async, are called around an instance's life where a subclass defines them.
    """

    instance: ClassVar[Literal["request", "worker"]] = "request"

    @property
    def session(self) -> Session:
        """The caller's session. Raises Refused outside a call."""
        session = current_session.get()
        if session is None:
            raise Refused("no call is running here, so there is no session", hint="use it inside a tool")
        return session
