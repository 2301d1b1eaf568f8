"""The client: calls tools and makes sessions, through any node."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from snakepit import _methods
from snakepit._codec import Codec
from snakepit._document import Document
from snakepit._endpoints import TIMEOUT_S, Endpoints
from snakepit._ops import exchange, pools, sessions, subjects, tools
from snakepit._ops.log import LogState, Wanted
from snakepit._ops.pools import Action, Pool, WorkerInfo
from snakepit._ops.sessions import SessionInfo
from snakepit._ops.subjects import Erasure, Subject
from snakepit._ops.tools import Asked, CallResult
from snakepit._programs import Programs
from snakepit._scope import Call, Scope
from snakepit._scope import consistency as _consistency
from snakepit._sender import Sender
from snakepit._session import Session
from snakepit._tool_stream import ToolStream
from snakepit._watch import Log

__all__ = ["CallResult", "Client", "connect"]


class Client:
    """A connection to a cluster through some of its nodes. Safe to share between threads.

    `endpoints` is a list or a comma-separated text of host:port or unix:path; where empty, the environment's
    SNAKEPIT_ENDPOINTS. `principal` is who the audit log says it was, unverified. `timeout_s` is the budget
    of each call, repeats on other nodes included; what was under way on a dead node is asked again elsewhere
    with the same request id, except calls of tools that may not run twice. With `spread`, successive calls
    go to successive nodes. `consistency` is that of all reads: linearizable (the default), lease or stale.
    `allow_pickle` reads payloads of old clients that are pickled lists of numbers, and nothing else in them.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = "",
        *,
        principal: str = "",
        timeout_s: float = TIMEOUT_S,
        spread: bool = False,
        consistency: str = "",
        allow_pickle: bool = False,
    ) -> None:
        metadata = ((_methods.PRINCIPAL, principal),) if principal else ()
        self._endpoints = Endpoints(
            targets(endpoints),
            metadata=(*metadata, *_consistency(consistency)),
            timeout_s=timeout_s,
            spread=spread,
        )
        self._codec = Codec(allow_pickle)
        self._sender = Sender(self._endpoints)

    # --- tools ---

    def call(
        self,
        tool: str,
        /,
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        pool: str = "",
        idempotent: bool | None = None,
        idempotency_key: str = "",
        correlation_id: str = "",
        metadata: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> CallResult:
        """Run a tool and wait. Raises ToolError where the tool raised.

        `pool` names the one that must run it. `idempotent` says that it may run again where its worker or its
        node dies, whatever the tool's author said. A call with an `idempotency_key` that its session has seen
        gets the answer of the first one, where the pool journals in full. Give `request_id` to be able to
        repeat the call by hand after an error whose `maybe_done` is set. `correlation_id` goes out with all
        that the call causes. Arguments of these names go with `call_with`.
        """
        asked = Asked(pool, idempotent, idempotency_key, correlation_id, metadata)
        call = tools.call(tool, arguments, _id_of(session), asked)
        return self._run(call, timeout_s, request_id)

    def call_with(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        pool: str = "",
        idempotent: bool | None = None,
        idempotency_key: str = "",
        correlation_id: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> CallResult:
        """`call` for arguments of any name."""
        asked = Asked(pool, idempotent, idempotency_key, correlation_id, metadata)
        call = tools.call(tool, arguments, _id_of(session), asked)
        return self._run(call, timeout_s, request_id)

    def stream(
        self,
        tool: str,
        /,
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        pool: str = "",
        idempotent: bool | None = None,
        correlation_id: str = "",
        metadata: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> ToolStream:
        """The values that a streaming tool yields, as they come; closing the iterator cancels the call.

        `stream(...).chunks()` gives them with their numbers. Where a node dies, the stream of a pool that
        journals in full goes on at another one. Raises ToolError where the tool raised after what it had
        yielded.
        """
        asked = Asked(pool, idempotent, "", correlation_id, metadata)
        call = tools.stream(tool, arguments, _id_of(session), asked)
        return ToolStream(self._endpoints, call, timeout_s=timeout_s, request_id=request_id)

    def ping(self, message: str = "") -> str:
        """The answer of whichever node answers first."""
        return self._sender.send(tools.ping(message))

    # --- the log ---

    def log(
        self,
        *,
        session: Session | str | None = None,
        events: Sequence[str] = (),
        variable: str = "",
        principal: str = "",
        tool: str = "",
        worker: str = "",
        node: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
        call_id: str = "",
        request_id: str = "",
        start: int = 1,
        end: int = 0,
        limit: int = 0,
        follow: bool = False,
    ) -> Log:
        """Events of the log, in order, from the position `start` to `end` (0: to its end), at most `limit`.

        All that is given must fit: `events` are kinds such as VariableSet, `principal` is who did it, `tool`
        through which tool it was done, `node` who was asked, `since` and `until` when (until is excluded).
        With `follow` it stays, and gives what comes. Goes on where a node dies, without gap or repeat.
        """
        wanted = Wanted(
            session=_id_of(session),
            events=events,
            variable=variable,
            principal=principal,
            tool=tool,
            worker=worker,
            node=node,
            since=since,
            until=until,
            call_id=call_id,
            request_id=request_id,
            start=start,
            end=end,
            limit=limit,
            follow=follow,
        )
        return Log(self._sender, LogState(wanted))

    # --- pools ---

    def pools(self) -> list[Pool]:
        """The cluster's pools, and how the node that was asked does its share."""
        return self._sender.send(pools.listed())

    def put_pool(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        expected_version: int = 0,
        create_only: bool = False,
    ) -> int:
        """Add a pool of the cluster or change it as a whole, on all nodes; its new version.

        `definition` has the settings of docs/pools.md, such as `adapter` and `size`. Raises Conflict where
        `expected_version` is given and not the current one, AlreadyExists with `create_only`.
        """
        call = pools.put(name, definition, expected_version=expected_version, create_only=create_only)
        return self._sender.send(call)

    def remove_pool(self, name: str) -> bool:
        """Take a pool of the cluster away, once its workers have finished; whether there was one."""
        return self._sender.send(pools.remove(name))

    def workers(self) -> list[WorkerInfo]:
        """The workers of the nodes that this client has an endpoint of, those that do not answer left out."""
        call = pools.workers()
        return pools.gathered(call, self._endpoints.each(call.method, call.request))

    def control_workers(self, action: Action, *, worker_id: str = "", pool: str = "") -> list[str]:
        """Restart, drain or kill one worker, those of a pool, or all; the ids of those that were told.

        Reaches the nodes that this client has an endpoint of.
        """
        call = pools.control(action, worker_id=worker_id, pool=pool)
        return pools.told(call, self._endpoints.each(call.method, call.request))

    # --- sessions ---

    def create_session(
        self,
        session_id: str,
        *,
        ttl_s: int = 0,
        metadata: Mapping[str, str] | None = None,
        enable_caching: bool = False,
        cache_ttl_s: int = 0,
        enable_telemetry: bool = False,
        subject: str = "",
    ) -> Session:
        """A session that lives `ttl_s` seconds after its last use (the node's default where 0).

        One that exists is returned unchanged. With `enable_caching`, nodes answer reads without asking the
        leader, from what is `cache_ttl_s` old at most (5 where 0); with `enable_telemetry` they log each
        request. With a `subject` its values are sealed with that subject's key, until `erase_subject`
        destroys it; the id begins with `sealed:` then.
        """
        self._sender.send(
            sessions.create(
                session_id,
                ttl_s=ttl_s,
                metadata=metadata,
                enable_caching=enable_caching,
                cache_ttl_s=cache_ttl_s,
                enable_telemetry=enable_telemetry,
                subject=subject,
            )
        )
        return self.session(session_id)

    def session(self, session_id: str) -> Session:
        """A session that exists; nothing is asked yet."""
        return Session(self._endpoints, session_id, codec=self._codec)

    def sessions(
        self,
        pattern: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        idle_s: float = 0,
        page_size: int = sessions.PAGE,
    ) -> Iterator[SessionInfo]:
        """The cluster's sessions, asked for as they are read.

        Those whose whole id matches the glob, that have all of `metadata`, were created in that time and were
        not used for `idle_s` seconds.
        """
        wanted = sessions.Filter(pattern, metadata, created_after, created_before, idle_s)
        return self._sender.pages(sessions.listed(wanted, page_size=page_size))

    def subjects(self) -> Iterator[Subject]:
        """Whose values sealed sessions hold, in the order of their names; asked for as they are read."""
        return self._sender.pages(subjects.listed())

    def erase_subject(self, subject: str) -> Erasure:
        """Destroy the subject's key: nobody can read any more what its sessions have held.

        Raises NotFound where there is no such subject.
        """
        return self._sender.send(subjects.erase(subject))

    def import_session(self, document: Document, session_id: str = "") -> Session:
        """A new session made of what `Session.export` gave, under its old id where none is given.

        All of it or nothing: raises AlreadyExists where there is a session of that id.
        """
        made = self._sender.send(exchange.import_session(document, session_id))
        return self.session(made.session_id)

    def _run(self, call: Call[CallResult], timeout_s: float | None, request_id: str) -> CallResult:
        answer = self._endpoints.unary(call.method, call.request, timeout_s=timeout_s, request_id=request_id)
        return call.read(answer)

    @property
    def programs(self) -> Programs:
        """The cluster's own programs, which belong to no session."""
        return Programs(self._sender, Scope(codec=self._codec))

    def close(self) -> None:
        """Close all connections; sessions live on."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    endpoints: str | Sequence[str] = "",
    *,
    principal: str = "",
    timeout_s: float = TIMEOUT_S,
    spread: bool = False,
    consistency: str = "",
    allow_pickle: bool = False,
) -> Client:
    """A client of the cluster that these nodes belong to; see `Client`."""
    return Client(
        endpoints,
        principal=principal,
        timeout_s=timeout_s,
        spread=spread,
        consistency=consistency,
        allow_pickle=allow_pickle,
    )


def _id_of(session: Session | str | None) -> str:
    return session.id if isinstance(session, Session) else session or ""


def targets(endpoints: str | Sequence[str]) -> list[str]:
    """The addresses that were given, or those of the environment."""
    given = endpoints or os.environ.get("SNAKEPIT_ENDPOINTS", "")
    parts = given.split(",") if isinstance(given, str) else given
    return [part.strip().removeprefix("http://") for part in parts if part.strip()]
