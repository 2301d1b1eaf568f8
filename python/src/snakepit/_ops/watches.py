"""A watch across nodes that die: what to ask next, what to pass on, when to give up. No IO.

A watch that breaks is resumed behind the last update that was passed on, so nothing is lost and nothing
repeated. The initial values need more care, for nothing says which is the last: where it breaks before the
first change, the values that are still owed are looked up, as they were at the moment of those that came.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from snakepit import _attempts, _methods, _status
from snakepit._attempts import ATTEMPT_TIMEOUT_S
from snakepit._change import Update, Version, update_of
from snakepit._ops import history, variables
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Page, Scope, Steps
from snakepit._variable import Variable
from snakepit.errors import Denied, FellBehind, SnakepitError, Unavailable, VariableNotFoundError

INITIAL: Final = "initial_value"


class WatchState:
    """What one watch has seen. `budget_s` is how long in a row it may be without a node."""

    # The end of the stream is none of the watch.
    ends: Final = False

    def __init__(
        self,
        scope: Scope,
        names: tuple[str, ...],
        *,
        initial: bool,
        after: int | None,
        budget_s: float = _attempts.TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scope = scope
        self._names = names
        self._position = after or 0
        self._index = 0
        # Until the first change is seen there may be initial values still to come.
        self._initial = initial and not after
        self._passed_on: dict[str, int] = {}
        self._budget_s = budget_s
        self._clock = clock
        self._attempt = 0
        self._failing_since: float | None = None
        self._opened_at: float | None = None

    @property
    def position(self) -> int:
        """That of the last update passed on; 0 where there was none."""
        return self._position

    @property
    def owes_values(self) -> bool:
        """Whether `owed` must be run before the watch goes on."""
        return self._initial and self._position > 0

    def call(self) -> Call[pb.VariableUpdate]:
        """The watch, from where it is."""
        request = pb.WatchVariablesRequest(
            session_id=self._scope.id,
            variable_identifiers=self._names,
            include_initial_values=self._initial and not self._position,
            after_position=self._position,
            after_index=0 if self._position or self._initial else self._index,
        )
        return self._scope.call(_methods.WATCH_VARIABLES, request, lambda message: message)

    def opened(self, index: int) -> None:
        """A node took the watch; `index` is where it begins, 0 where that is not known."""
        self._opened_at = self._clock()
        if index:
            self._works()
            self._index = self._index or index

    def take(self, message: pb.VariableUpdate) -> Update | None:
        """The update, to pass on; None where it was passed on before."""
        self._works()
        update = update_of(message, self._scope.codec)
        if update.kind == INITIAL:
            if self._passed_on.get(update.id) == update.version:
                return None
            self._passed_on[update.id] = update.version
            self._position = max(self._position, update.position)
            return update
        if update.position and update.position <= self._position:
            return None
        self._position = update.position
        self._initial = False
        self._passed_on.clear()
        return update

    def broke(self, error: SnakepitError | None) -> float:
        """How long to wait before the next attempt; None is an end without an error.

        Raises the error where it is the watch's own end, or no node was found for too long.
        """
        if isinstance(error, FellBehind):
            raise _fell_behind(error, self._position) from error.__cause__
        if error is not None and not _status.resumes(error):
            raise error
        now = self._clock()
        if self._opened_at is not None and now - self._opened_at > ATTEMPT_TIMEOUT_S:
            self._works()
        self._opened_at = None
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since >= self._budget_s:
            raise error or Unavailable("the nodes end the watch again and again")
        self._attempt += 1
        return 0.0 if self._attempt == 1 else _attempts.pause(self._attempt, 1)

    def owed(self) -> Steps[list[Update]]:
        """The initial values that the broken stream did not bring, as they were when it began."""
        found: list[Update] = []
        everything: list[Variable] = yield from variables.every(self._scope)
        for variable in everything:
            asked = not self._names or variable.name in self._names or variable.id in self._names
            if not asked or variable.id in self._passed_on:
                continue
            version = yield from self._version_then(variable)
            if version is not None:
                self._passed_on[variable.id] = version.version
                found.append(_initial(variable, version, self._position))
        # From here on there are changes only.
        self._initial = False
        self._passed_on.clear()
        return found

    def _version_then(self, variable: Variable) -> Steps[Version | None]:
        """What it was at the watch's moment; None where it did not exist, or may not be read."""
        following: Call[Page[Version]] | None = history.history(
            self._scope, variable.id, limit=None, before=0
        )
        try:
            while following is not None:
                page: Page[Version] = yield following
                for version in page.items:
                    if version.position <= self._position:
                        return version
                following = page.following
        except (VariableNotFoundError, Denied):
            pass
        return None

    def _works(self) -> None:
        self._attempt = 0
        self._failing_since = None


def _initial(variable: Variable, version: Version, position: int) -> Update:
    return Update(
        kind=INITIAL,
        name=variable.name,
        id=variable.id,
        value=version.value,
        version=version.version,
        position=position,
        time=version.time,
        variable=replace(variable, value=version.value, version=version.version, updated_at=version.time),
        source="",
        metadata=version.metadata,
        dependents=variable.dependents,
        cause=version.cause,
        raft_index=0,
    )


def _fell_behind(error: FellBehind, seen: int) -> FellBehind:
    """The same with the position to go on from: that of what the caller has seen, else the node's word."""
    named = re.findall(r"\d+", error.message)
    error.position = seen or (int(named[-1]) if named else 0)
    return error
