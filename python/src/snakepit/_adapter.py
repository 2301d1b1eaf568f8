"""The optional base class of adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from snakepit._running import current
from snakepit.errors import Refused

if TYPE_CHECKING:
    from snakepit._session import Session


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
        call = current.get()
        if call is None:
            raise Refused("no call is running here, so there is no session", hint="use it inside a tool")
        return call.session
