"""The event log: what to ask, what an event says, and how a reading goes on where a node dies. No IO."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from snakepit import _attempts, _methods, _status
from snakepit._change import Cause
from snakepit._proto import cluster_v1_pb2 as cluster
from snakepit._proto import events_v1_pb2 as events
from snakepit._scope import Call
from snakepit.errors import Invalid, SnakepitError, Unavailable

_KINDS: Final = {
    field.name: field.message_type.name
    for field in events.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event of the log.

    `kind` is its name, for example VariableSet, and `change` what it says, as its protobuf message has it
    (proto/snakepit/events/v1/events.proto). `hash` is that of the chain, `data` the stored bytes that it and
    the Merkle tree cover.
    """

    position: int
    time: datetime
    session_id: str
    revision: int
    kind: str
    change: dict[str, Any]
    cause: Cause
    raft_index: int
    raft_term: int
    hash: bytes
    data: bytes


def event_of(stored: cluster.StoredEvent) -> LogEvent:
    """The event of an answer."""
    event = events.Event.FromString(stored.event)
    field = event.WhichOneof("payload") or ""
    change = MessageToDict(getattr(event, field), preserving_proto_field_name=True) if field else {}
    return LogEvent(
        position=event.position,
        time=datetime.fromtimestamp(event.time_ms / 1000, UTC),
        session_id=event.session_id,
        revision=event.revision,
        kind=_KINDS.get(field, ""),
        change=change,
        cause=Cause(
            principal=event.principal.name,
            principal_verified=event.principal.verified,
            request_id=event.cause.request_id,
            call_id=event.cause.call_id,
            tool=event.cause.tool,
            worker=event.cause.worker,
            node=event.cause.node,
        ),
        raft_index=event.raft_index,
        raft_term=event.raft_term,
        hash=stored.hash,
        data=stored.event,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: all that is given must fit."""

    session: str = ""
    events: Sequence[str] = ()
    variable: str = ""
    principal: str = ""
    tool: str = ""
    worker: str = ""
    node: int = 0
    since: datetime | None = None
    until: datetime | None = None
    call_id: str = ""
    request_id: str = ""
    start: int = 1
    end: int = 0
    limit: int = 0
    follow: bool = False


class LogState:
    """What one reading has seen. `budget_s` is how long in a row it may be without a node."""

    # Nothing but what the stream brings; see `WatchState`.
    owes_values: Final = False

    def __init__(
        self,
        wanted: Wanted,
        *,
        budget_s: float = _attempts.TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(wanted.events, str):
            raise Invalid("events is one text", hint="give a list of kinds, for example ['VariableSet']")
        self._wanted = wanted
        self._next = max(1, wanted.start)
        self._taken = 0
        self._position = 0
        self._budget_s = budget_s
        self._clock = clock
        self._attempt = 0
        self._failing_since: float | None = None

    @property
    def position(self) -> int:
        """That of the last event passed on; 0 where there was none."""
        return self._position

    @property
    def ends(self) -> bool:
        """Whether the end of the stream is the end."""
        return not self._wanted.follow or self._is_full

    @property
    def _is_full(self) -> bool:
        return 0 < self._wanted.limit <= self._taken

    def call(self) -> Call[cluster.StoredEvent]:
        """The reading, from where it is."""
        wanted = self._wanted
        request = cluster.ReadEventsRequest(
            from_position=self._next,
            to_position=wanted.end,
            limit=max(1, wanted.limit - self._taken) if wanted.limit else 0,
            session_id=wanted.session,
            follow=wanted.follow,
            filter=cluster.EventFilter(
                events=wanted.events,
                variable=wanted.variable,
                principal=wanted.principal,
                tool=wanted.tool,
                worker=wanted.worker,
                node=wanted.node,
                since_ms=_ms(wanted.since),
                until_ms=_ms(wanted.until),
                call_id=wanted.call_id,
                request_id=wanted.request_id,
            ),
        )
        return Call(_methods.READ_EVENTS, request, lambda message: message)

    def opened(self, index: int) -> None:
        """A node took it."""

    def take(self, message: cluster.StoredEvent) -> LogEvent | None:
        """The event, to pass on."""
        self._attempt = 0
        self._failing_since = None
        if message.position < self._next or self._is_full:
            return None
        self._next = message.position + 1
        self._position = message.position
        self._taken += 1
        return event_of(message)

    def broke(self, error: SnakepitError | None) -> float:
        """How long to wait before the next attempt. Raises the error where it is the end."""
        if error is not None and not _status.resumes(error):
            raise error
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since >= self._budget_s:
            raise error or Unavailable("the nodes end the reading again and again")
        self._attempt += 1
        return 0.0 if self._attempt == 1 else _attempts.pause(self._attempt, 1)


def _ms(moment: datetime | None) -> int:
    if moment is None:
        return 0
    if moment.tzinfo is None:
        raise Invalid("a time has no time zone", hint="give one, for example datetime.now(UTC)")
    return max(1, round(moment.timestamp() * 1000))
