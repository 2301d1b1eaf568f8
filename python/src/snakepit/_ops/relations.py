"""What a variable depends on, and who may use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snakepit import _methods
from snakepit._proto import session_v1_pb2 as sessions
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Scope, accepted


def depend(scope: Scope, name: str, on: str, kind: str) -> Call[None]:
    """Note that a variable depends on another."""
    request = pb.AddDependencyRequest(
        session_id=scope.id, from_variable=name, to_variable=on, dependency_type=kind
    )
    return scope.call(_methods.ADD_DEPENDENCY, request, lambda answer: _nothing(accepted(answer)))


def undepend(scope: Scope, name: str, on: str) -> Call[bool]:
    """Forget it again; False where it was not there."""
    request = sessions.RemoveDependencyRequest(session_id=scope.id, from_variable=name, to_variable=on)
    return scope.call(_methods.REMOVE_DEPENDENCY, request, lambda answer: answer.existed)


def set_access(scope: Scope, name: str, rules: Mapping[str, Any] | None) -> Call[None]:
    """Set its rules; none lift all restrictions."""
    request = sessions.SetAccessRequest(
        session_id=scope.id,
        variable_identifier=name,
        access_control_json=json.dumps(dict(rules)) if rules else "",
    )
    return scope.call(_methods.SET_ACCESS, request, _nothing)


def _nothing(_: object) -> None:
    return None
