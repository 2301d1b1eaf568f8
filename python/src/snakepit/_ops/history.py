"""What a variable was, and making it so again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from snakepit import _methods
from snakepit._change import Version, version_of
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Page, Scope, accepted, texts
from snakepit._variable import Variable, from_wire

# Entries asked for at once.
PAGE: Final = 100


def history(scope: Scope, name: str, *, limit: int | None, before: int) -> Call[Page[Version]]:
    """Its versions, the newest first, page by page."""
    wanted = PAGE if limit is None else min(limit, PAGE)
    request = pb.GetVariableHistoryRequest(
        session_id=scope.id, variable_identifier=name, limit=wanted, before_version=before
    )

    def read(answer: pb.GetVariableHistoryResponse) -> Page[Version]:
        items = [version_of(entry, scope.codec) for entry in answer.entries[:limit]]
        left = None if limit is None else limit - len(items)
        token = answer.next_before_version
        more = bool(token) and left != 0
        return Page(items, history(scope, name, limit=left, before=token) if more else None)

    return scope.call(_methods.GET_VARIABLE_HISTORY, request, read)


def rollback(
    scope: Scope, name: str, version: int, *, expected_version: int, metadata: Mapping[str, str] | None
) -> Call[Variable]:
    """A new version with the value of an old one."""
    request = pb.RollbackVariableRequest(
        session_id=scope.id,
        variable_identifier=name,
        target_version=version,
        expected_version=expected_version,
        metadata=texts(metadata),
    )
    return scope.call(
        _methods.ROLLBACK_VARIABLE,
        request,
        lambda answer: from_wire(accepted(answer).variable, scope.codec),
    )
