"""Where a reader of a tool's stream is, and whether it may go on on another node. No IO."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from snakepit import _attempts, _status
from snakepit._ops import tools
from snakepit._ops.tools import ToolChunk
from snakepit._scope import Call
from snakepit.errors import Invalid, SnakepitError

# How long a stream that broke is asked for, until one of the nodes goes on with it.
RESUME_S: Final = 10.0


class Resuming:
    """One stream, from its first request to its last. `call` is what to ask now, within `left_s`."""

    __slots__ = ("_attempt", "_broken", "_clock", "_ends", "_gives_up", "_nodes", "call", "call_id", "number")

    def __init__(
        self,
        call: Call[ToolChunk | None],
        budget_s: float,
        *,
        nodes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call = call
        self.call_id = ""
        # Of the last chunk.
        self.number = -1
        self._clock = clock
        self._ends = clock() + budget_s
        self._nodes = nodes
        self._broken: SnakepitError | None = None
        self._gives_up = 0.0
        self._attempt = 0

    def left_s(self) -> float:
        """How much is left of the time for the whole stream."""
        return max(0.001, self._ends - self._clock())

    def took(self, chunk: ToolChunk) -> None:
        """A chunk came."""
        self.call_id, self.number = chunk.call_id, chunk.number
        self._broken = None

    def broke(self, error: SnakepitError) -> float:
        """Go on with `call`, after so many seconds. Raises what the reader should get where it cannot."""
        now = self._clock()
        if self._broken is None:
            if not self.call_id or not _status.resumes(error):
                raise error
            self._broken = error
            self._gives_up = min(self._ends, now + RESUME_S)
            self._attempt = 0
            self.call = tools.resumed(self.call, self.call_id, self.number + 1)
            return 0.0
        if isinstance(error, Invalid):
            # The log does not have it: its pool does not journal in full.
            raise self._broken
        self._attempt += 1
        wait_s = _attempts.pause(self._attempt, self._nodes)
        if not _status.resumes(error) or _status.is_final(error):
            raise error
        if now + wait_s >= self._gives_up:
            raise self._broken
        return wait_s
