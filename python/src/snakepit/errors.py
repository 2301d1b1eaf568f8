"""What can go wrong, by what the caller should do about it.

::

    SnakepitError
    ├── Invalid (ValueError)                 mend the request
    ├── NotFound                             decide
    │   ├── VariableNotFoundError (KeyError)
    │   ├── SessionNotFoundError (KeyError)
    │   └── ProgramNotFoundError (KeyError)
    ├── AlreadyExists                        decide
    ├── Conflict                             read again and retry
    │   └── FellBehind                       watch again, after `position`
    ├── Refused                              wait or give up
    │   ├── Denied (PermissionError)         ask who set the rule
    │   └── WorkerLost                       call again: what only that worker knew is lost
    ├── Exhausted                            back off
    ├── Unavailable                          retry elsewhere
    │   └── CircuitOpen                      retry after `retry_after_s`
    ├── Unknown                              retry with the same request id
    │   └── Lost                             look whether it is done: repeated, it is told the same
    ├── DataLoss                             stop, repair
    └── ToolError                            an exception in the tool: an outcome, not a failed transport

Every error carries `maybe_done` (False: nothing was changed; True: it may have been) and `hint` (what to do
next, in a few words).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class SnakepitError(Exception):
    """The base of all errors; by itself, one that fits no other kind."""

    default_hint: ClassVar[str] = "see the node's log"
    default_maybe_done: ClassVar[bool] = False

    def __init__(self, message: str, *, maybe_done: bool | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.maybe_done = self.default_maybe_done if maybe_done is None else maybe_done
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        """The message and nothing else; KeyError would quote it."""
        return self.message


class Invalid(SnakepitError, ValueError):
    """The request cannot be done as it stands: a bad value, a broken constraint, a wrong name."""

    default_hint = "mend the request"


class NotFound(SnakepitError):
    """There is no such session, variable or tool."""

    default_hint = "check the name"


class VariableNotFoundError(NotFound, KeyError):
    """The session has no such variable."""

    default_hint = "register the variable first"


class SessionNotFoundError(NotFound, KeyError):
    """There is no such session, or it has expired."""

    default_hint = "create the session again"


class ProgramNotFoundError(NotFound, KeyError):
    """The session, or the cluster, has no such program."""

    default_hint = "put the program first"


class AlreadyExists(SnakepitError):
    """The name is taken, by something of another type."""

    default_hint = "take another name, or delete the old one"


class Conflict(SnakepitError):
    """The expected version is not the current one: another writer was faster."""

    default_hint = "read again and retry"


class FellBehind(Conflict):
    """The watcher was slower than the changes, and its watch was ended.

    `position` is that of the last update which it got: a watch ``after`` it goes on without gap or repeat.
    """

    default_hint = "watch again with after=error.position, and read faster"

    def __init__(
        self, message: str, *, position: int = 0, maybe_done: bool | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, maybe_done=maybe_done, hint=hint)
        self.position = position


class Refused(SnakepitError):
    """The state does not allow it: locked, fenced, draining, required by another."""

    default_hint = "wait or give up"


class Denied(Refused, PermissionError):
    """The variable's access rules do not let this caller in."""

    default_hint = "ask whoever set the access rules"


class WorkerLost(Refused):
    """The worker to which the session was bound is gone; the next call is bound to another."""

    default_hint = "call again; what only that worker knew is lost"


class Exhausted(SnakepitError):
    """A limit is reached or a queue is full."""

    default_hint = "back off and retry"


class Unavailable(SnakepitError):
    """No node took the request: no leader, draining, or not reachable."""

    default_hint = "retry, on another node too"


class CircuitOpen(Unavailable):
    """The tool has failed again and again, and is refused for `retry_after_s` seconds; 0 where not known."""

    default_hint = "retry after error.retry_after_s"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float = 0.0,
        maybe_done: bool | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, maybe_done=maybe_done, hint=hint)
        self.retry_after_s = retry_after_s


class Unknown(SnakepitError):
    """The answer was lost, or the deadline came first: it may have been done."""

    default_hint = "retry with the same request id"
    default_maybe_done = True


class Lost(Unknown):
    """The call was begun and lost, and may be done: a repeat with its idempotency key is told the same."""

    default_hint = "look whether it is done; give another idempotency key to run it again"


class DataLoss(SnakepitError):
    """Stored data is corrupt."""

    default_hint = "stop, and repair the node"


class ToolError(SnakepitError):
    """The tool raised: its exception's class, message and traceback, as text.

    `kind` is shape_mismatch, dtype_mismatch, device_mismatch or out_of_memory where the worker could tell;
    `details` say more of it. The call was done, and so were the writes that the tool made before it raised.
    """

    default_hint = "see the tool's traceback"
    default_maybe_done = True

    def __init__(
        self,
        type: str,  # noqa: A002
        message: str,
        traceback: str = "",
        *,
        kind: str = "",
        hint: str = "",
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{type}: {message}" if message else type, hint=hint or None)
        self.type = type
        self.tool_message = message
        self.traceback = traceback
        self.kind = kind
        self.details = dict(details or {})
