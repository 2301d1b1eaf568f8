"""Sessions themselves: made, looked at, kept alive, ended, listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from snakepit import _methods
from snakepit._proto import cluster_v1_pb2 as cluster
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Page, Scope, accepted, texts
from snakepit._variable import time_of

PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the cluster knows of a session; times are wall clock.

    `variables`, `tools`, `programs` and `locks` are how many it has; `updates` how many values its variables
    were given; `revision` counts its events; `subject` is whose key seals its values, empty where none does.
    """

    id: str
    metadata: Mapping[str, str]
    created_at: datetime
    expires_at: datetime
    ttl_s: int
    variables: int
    revision: int
    tools: int = 0
    updates: int = 0
    programs: int = 0
    locks: int = 0
    enable_caching: bool = False
    cache_ttl_s: int = 0
    enable_telemetry: bool = False
    subject: str = ""


def create(
    session_id: str,
    *,
    ttl_s: int,
    metadata: Mapping[str, str] | None,
    enable_caching: bool,
    cache_ttl_s: int,
    enable_telemetry: bool,
    subject: str,
) -> Call[bool]:
    """Make it, or find it; whether it was made."""
    config = pb.SessionConfig(
        enable_caching=enable_caching,
        cache_ttl_seconds=cache_ttl_s,
        enable_telemetry=enable_telemetry,
        ttl_seconds=ttl_s,
    )
    request = pb.InitializeSessionRequest(
        session_id=session_id, metadata=texts(metadata), config=config, subject=subject
    )
    return Scope().call(_methods.INITIALIZE_SESSION, request, lambda answer: accepted(answer).created)


def info(scope: Scope) -> Call[SessionInfo]:
    """What is known of it."""
    return scope.call(_methods.GET_SESSION, pb.GetSessionRequest(session_id=scope.id), _info)


def touch(scope: Scope) -> Call[bool]:
    """Put off its end; False where it is gone."""
    request = pb.HeartbeatRequest(session_id=scope.id)
    return scope.call(_methods.HEARTBEAT, request, lambda answer: answer.session_valid)


def close(scope: Scope, *, force: bool) -> Call[bool]:
    """End it; False where it was gone."""
    request = pb.CleanupSessionRequest(session_id=scope.id, force=force)
    return scope.call(
        _methods.CLEANUP_SESSION, request, lambda answer: answer.success and answer.resources_cleaned > 0
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions to list; all where empty."""

    pattern: str = ""
    metadata: Mapping[str, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    idle_s: float = 0


def listed(wanted: Filter, *, page_size: int = PAGE, token: str = "") -> Call[Page[SessionInfo]]:
    """Those that match, page by page."""
    request = cluster.ListSessionsRequest(
        page_size=page_size,
        page_token=token,
        pattern=wanted.pattern,
        metadata=texts(wanted.metadata),
        created_after_ms=_ms(wanted.created_after),
        created_before_ms=_ms(wanted.created_before),
        idle_ms_min=round(wanted.idle_s * 1000),
    )

    def read(answer: cluster.ListSessionsResponse) -> Page[SessionInfo]:
        token = answer.next_page_token
        following = listed(wanted, page_size=page_size, token=token) if token else None
        return Page([_info(found) for found in answer.sessions], following)

    return Scope().call(_methods.LIST_SESSIONS, request, read)


def _ms(time: datetime | None) -> int:
    return round(time.timestamp() * 1000) if time else 0


def _info(answer: pb.GetSessionResponse) -> SessionInfo:
    return SessionInfo(
        id=answer.session_id,
        metadata=dict(answer.metadata),
        created_at=time_of(answer.created_at),
        expires_at=time_of(answer.expires_at),
        ttl_s=answer.ttl_seconds,
        variables=answer.variable_count,
        revision=answer.revision,
        tools=answer.tool_count,
        updates=answer.update_count,
        programs=answer.program_count,
        locks=answer.lock_count,
        enable_caching=answer.config.enable_caching,
        cache_ttl_s=answer.config.cache_ttl_seconds,
        enable_telemetry=answer.config.enable_telemetry,
        subject=answer.subject,
    )
