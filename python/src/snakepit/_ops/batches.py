"""Several variables in one request, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakepit import _methods, _status
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Scope, texts
from snakepit._variable import Variable, from_wire
from snakepit.errors import SnakepitError, VariableNotFoundError


class Versions(dict[str, int]):
    """The new versions by name; `errors` says, by name, what was refused of an update that is not atomic."""

    errors: dict[str, SnakepitError]

    def __init__(
        self, versions: Mapping[str, int], errors: Mapping[str, SnakepitError] | None = None
    ) -> None:
        super().__init__(versions)
        self.errors = dict(errors or {})


def get_many(scope: Scope, names: tuple[str, ...], *, include_metadata: bool) -> Call[dict[str, Variable]]:
    """Those of these names, all of them or VariableNotFoundError."""
    request = pb.BatchGetVariablesRequest(
        session_id=scope.id, variable_identifiers=names, include_metadata=include_metadata
    )

    def read(answer: pb.BatchGetVariablesResponse) -> dict[str, Variable]:
        if answer.missing_variables:
            raise VariableNotFoundError(f"Variable not found: {', '.join(answer.missing_variables)}")
        return {name: from_wire(answer.variables[name], scope.codec) for name in names}

    return scope.call(_methods.GET_VARIABLES, request, read)


def values(call: Call[dict[str, Variable]]) -> Call[dict[str, Any]]:
    """The same without all but the values."""
    return Call(
        call.method,
        call.request,
        lambda answer: {name: variable.value for name, variable in call.read(answer).items()},
    )


def update(
    scope: Scope,
    values: Mapping[str, Any],
    *,
    atomic: bool,
    expected_versions: Mapping[str, int] | None,
    metadata: Mapping[str, str] | None,
) -> Call[Versions]:
    """Set several: all or none, or those that can be."""
    request = pb.BatchSetVariablesRequest(
        session_id=scope.id,
        atomic=atomic,
        metadata=texts(metadata),
        expected_versions=expected_versions or {},
    )
    for name, value in values.items():
        encoded, payload = scope.codec.encode(value)
        request.updates[name].CopyFrom(encoded)
        if payload is not None:
            request.binary_updates[name] = payload

    def read(answer: pb.BatchSetVariablesResponse) -> Versions:
        if atomic and (answer.errors or not answer.success):
            text = "; ".join(f"{name}: {why}" for name, why in sorted(answer.errors.items()))
            kinds = set(answer.error_kinds.values())
            raise _status.from_refusal(text, kinds.pop() if len(kinds) == 1 else "")
        refused = {
            name: _status.from_refusal(why, answer.error_kinds.get(name, ""))
            for name, why in sorted(answer.errors.items())
        }
        return Versions(dict(answer.new_versions), refused)

    return scope.call(_methods.SET_VARIABLES, request, read)
