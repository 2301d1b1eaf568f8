"""Programs: named documents of a session, or of the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from snakepit import _methods
from snakepit._codec import Codec
from snakepit._proto import session_v1_pb2 as pb
from snakepit._scope import Call, Page, Scope, Steps, texts
from snakepit._variable import time_of
from snakepit.errors import ProgramNotFoundError

UNSET: Final = object()
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Program:
    """A program as read at one moment. `expires_at` is None for those of a session, which end with it."""

    id: str
    value: Any
    version: int
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


def put(
    scope: Scope,
    program_id: str,
    value: Any,
    *,
    metadata: Mapping[str, str] | None,
    expected_version: int,
    ttl_s: int,
) -> Call[int]:
    """Make it, or replace it; its version."""
    encoded, payload = scope.codec.encode(value)
    request = pb.PutProgramRequest(
        session_id=scope.session_id,
        program_id=program_id,
        value=encoded,
        binary_value=payload or b"",
        metadata=texts(metadata),
        expected_version=expected_version,
        ttl_seconds=ttl_s,
    )
    return scope.call(_methods.PUT_PROGRAM, request, lambda answer: answer.version)


def program(scope: Scope, program_id: str) -> Call[Program]:
    """The program, whole."""
    request = pb.GetProgramRequest(session_id=scope.session_id, program_id=program_id)
    return scope.call(_methods.GET_PROGRAM, request, lambda answer: _from_wire(answer.program, scope.codec))


def get(scope: Scope, program_id: str, default: Any) -> Steps[Any]:
    """Its value, or a default."""
    try:
        read: Program = yield program(scope, program_id)
    except ProgramNotFoundError:
        if default is UNSET:
            raise
        return default
    return read.value


def exists(scope: Scope, program_id: str) -> Steps[bool]:
    """Whether there is one of that id."""
    try:
        yield program(scope, program_id)
    except ProgramNotFoundError:
        return False
    return True


def listed(scope: Scope, pattern: str = "", *, token: str = "") -> Call[Page[Program]]:
    """Those whose whole id matches, page by page."""
    request = pb.ListProgramsRequest(
        session_id=scope.session_id, pattern=pattern, page_size=PAGE, page_token=token
    )

    def read(answer: pb.ListProgramsResponse) -> Page[Program]:
        items = [_from_wire(program, scope.codec) for program in answer.programs]
        token = answer.next_page_token
        return Page(items, listed(scope, pattern, token=token) if token else None)

    return scope.call(_methods.LIST_PROGRAMS, request, read)


def delete(scope: Scope, program_id: str) -> Call[bool]:
    """Delete it; False where it was not there."""
    request = pb.DeleteProgramRequest(session_id=scope.session_id, program_id=program_id)
    return scope.call(_methods.DELETE_PROGRAM, request, lambda answer: answer.existed)


def _from_wire(program: pb.Program, codec: Codec) -> Program:
    return Program(
        id=program.program_id,
        value=codec.decode(program.value, program.binary_value or None),
        version=program.version,
        metadata=dict(program.metadata),
        created_at=time_of(program.created_at),
        updated_at=time_of(program.updated_at),
        expires_at=time_of(program.expires_at) if program.HasField("expires_at") else None,
    )
