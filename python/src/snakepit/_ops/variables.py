"""One variable: read, set, register, delete; and the lists of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from snakepit import _codec, _methods
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Apply, Call, Page, Scope, Steps, accepted, texts
from snakepit._variable import Registered, Variable, from_wire
from snakepit.errors import Conflict, Invalid, VariableNotFoundError

UNSET: Final = object()
# Variables asked for at once where all are listed.
PAGE: Final = 1000


def variable(scope: Scope, name: str, *, bypass_cache: bool = False) -> Call[Variable]:
    """The variable, whole."""
    request = pb.GetVariableRequest(session_id=scope.id, variable_identifier=name, bypass_cache=bypass_cache)
    return scope.call(_methods.GET_VARIABLE, request, lambda answer: from_wire(answer.variable, scope.codec))


def get(scope: Scope, name: str, default: Any) -> Steps[Any]:
    """The value, or a default."""
    try:
        read: Variable = yield variable(scope, name)
    except VariableNotFoundError:
        if default is UNSET:
            raise
        return default
    return read.value


def exists(scope: Scope, name: str) -> Steps[bool]:
    """Whether there is one of that name."""
    try:
        yield variable(scope, name)
    except VariableNotFoundError:
        return False
    return True


def set_value(
    scope: Scope,
    name: str,
    value: Any,
    *,
    expected_version: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> Call[int]:
    """Set it; the new version."""
    encoded, payload = scope.codec.encode(value)
    request = pb.SetVariableRequest(
        session_id=scope.id,
        variable_identifier=name,
        value=encoded,
        metadata=texts(metadata),
        expected_version=expected_version,
        binary_value=payload or b"",
    )
    return scope.call(_methods.SET_VARIABLE, request, lambda answer: accepted(answer).new_version)


def put(scope: Scope, name: str, value: Any) -> Steps[int]:
    """Set it, and register it where it is missing."""
    try:
        version: int = yield set_value(scope, name, value)
    except VariableNotFoundError:
        registered: Registered = yield register(scope, name, value)
        return registered.version
    return version


def change(
    scope: Scope,
    name: str,
    function: Callable[[Any], Any],
    *,
    attempts: int,
    metadata: Mapping[str, str] | None,
) -> Steps[Any]:
    """Read, apply the function, and write back unless another wrote meanwhile, else again."""
    for left in range(attempts - 1, -1, -1):
        # A cache would give the version that was refused again.
        read: Variable = yield variable(scope, name, bypass_cache=True)
        value = yield Apply(function, read.value)
        try:
            yield set_value(scope, name, value, expected_version=read.version, metadata=metadata)
        except Conflict:
            if not left:
                raise
        else:
            return value
    raise Invalid("attempts is below 1")


def register(
    scope: Scope,
    name: str,
    value: Any,
    type: str = "",  # noqa: A002
    *,
    constraints: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    access: Mapping[str, Any] | None = None,
) -> Call[Registered]:
    """Make a variable of a type, or that of its value."""
    encoded, payload = scope.codec.encode(value, type)
    request = pb.RegisterVariableRequest(
        session_id=scope.id,
        name=name,
        type=type or _codec.type_name(encoded),
        initial_value=encoded,
        constraints_json=json.dumps(dict(constraints)) if constraints else "",
        metadata=texts(metadata),
        initial_binary_value=payload or b"",
        access_control_json=json.dumps(dict(access)) if access is not None else "",
    )
    return scope.call(
        _methods.REGISTER_VARIABLE,
        request,
        lambda answer: Registered(accepted(answer).variable_id, answer.version),
    )


def delete(scope: Scope, name: str) -> Call[None]:
    """Delete it."""
    request = pb.DeleteVariableRequest(session_id=scope.id, variable_identifier=name)
    return scope.call(_methods.DELETE_VARIABLE, request, lambda answer: _nothing(accepted(answer)))


def listed(
    scope: Scope, pattern: str = "", *, page_size: int = PAGE, token: str = ""
) -> Call[Page[Variable]]:
    """Those whose whole name matches, page by page."""
    request = pb.ListVariablesRequest(
        session_id=scope.id, pattern=pattern, page_size=page_size, page_token=token
    )

    def read(answer: pb.ListVariablesResponse) -> Page[Variable]:
        items = [from_wire(variable, scope.codec) for variable in answer.variables]
        token = answer.next_page_token
        return Page(items, listed(scope, pattern, page_size=page_size, token=token) if token else None)

    return scope.call(_methods.LIST_VARIABLES, request, read)


def every(scope: Scope, pattern: str = "") -> Steps[list[Variable]]:
    """All of them."""
    found: list[Variable] = []
    following: Call[Page[Variable]] | None = listed(scope, pattern)
    while following is not None:
        page: Page[Variable] = yield following
        found.extend(page.items)
        following = page.following
    return found


def _nothing(_: object) -> None:
    return None
