"""A session's state, as a tool and a client see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from snakepit import _methods, _status, _values
from snakepit._methods import Transport
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._variable import Registered, Variable, from_wire
from snakepit.errors import Conflict, Invalid, VariableNotFoundError

_UNSET: Final = object()
# Variables asked for at once where all are listed.
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the cluster knows of a session; times are wall clock."""

    id: str
    metadata: Mapping[str, str]
    created_at: datetime
    expires_at: datetime
    ttl_s: int
    variables: int
    revision: int


class Session:
    """A session and its typed variables, replicated by the cluster.

    A tool gets the caller's session; a client makes one with `Client.create_session` or `Client.session`.
    Every read sees every write acknowledged before it, on any node. Versions begin at 1. Nothing is cached.

    As a mapping, `session["x"] = value` sets the variable and registers it first where it is missing.
    All methods raise the errors of `snakepit.errors`: SessionNotFoundError where the session is gone,
    VariableNotFoundError where a name is unknown, Invalid where a value breaks a type or a constraint.
    """

    __slots__ = ("_id", "_transport")

    def __init__(self, transport: Transport, session_id: str) -> None:
        self._transport = transport
        self._id = session_id

    @property
    def id(self) -> str:
        """The session's id. Raises Invalid where the call that runs here names no session."""
        if not self._id:
            raise Invalid("this call names no session, so it has no variables", hint="call with a session")
        return self._id

    # --- one variable ---

    def get(self, name: str, default: Any = _UNSET) -> Any:
        """The value; `default` where the variable is missing and a default is given."""
        try:
            return self.variable(name).value
        except VariableNotFoundError:
            if default is _UNSET:
                raise
            return default

    def variable(self, name: str) -> Variable:
        """The variable with its version, type and metadata."""
        request = pb.GetVariableRequest(session_id=self.id, variable_identifier=name)
        return from_wire(self._transport.unary(_methods.GET_VARIABLE, request).variable)

    def set(
        self, name: str, value: Any, *, expected_version: int = 0, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Set a registered variable; returns its new version.

        With `expected_version` it is compare-and-set: raises Conflict where that is not the current one.
        """
        encoded, payload = _values.encode(value)
        request = pb.SetVariableRequest(
            session_id=self.id,
            variable_identifier=name,
            value=encoded,
            metadata=metadata or {},
            expected_version=expected_version,
            binary_value=payload or b"",
        )
        answer = self._transport.unary(_methods.SET_VARIABLE, request)
        if not answer.success:
            raise _status.from_refusal(answer.error_message)
        return answer.new_version

    def change(self, name: str, function: Callable[[Any], Any], *, attempts: int = 16) -> Any:
        """Read, apply `function`, and write back unless another wrote meanwhile, else again.

        Returns the new value.

        Raises Conflict after `attempts` rounds. `function` may run several times.
        """
        for left in range(attempts - 1, -1, -1):
            read = self.variable(name)
            value = function(read.value)
            try:
                self.set(name, value, expected_version=read.version)
            except Conflict:
                if not left:
                    raise
            else:
                return value
        raise Invalid("attempts is below 1")

    def register(
        self,
        name: str,
        value: Any,
        type: str = "",  # noqa: A002
        *,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Registered:
        """Make a variable of `type`, which is inferred from the value where empty.

        Where the name exists with the same type, value and constraints are replaced; with another type,
        raises AlreadyExists.
        """
        encoded, payload = _values.encode(value)
        request = pb.RegisterVariableRequest(
            session_id=self.id,
            name=name,
            type=type or encoded.type_url.removeprefix(_values.URL_PREFIX),
            initial_value=encoded,
            constraints_json=json.dumps(dict(constraints)) if constraints else "",
            metadata=metadata or {},
            initial_binary_value=payload or b"",
        )
        answer = self._transport.unary(_methods.REGISTER_VARIABLE, request)
        if not answer.success:
            raise _status.from_refusal(answer.error_message)
        return Registered(answer.variable_id, answer.version)

    def delete(self, name: str) -> None:
        """Delete a variable."""
        request = pb.DeleteVariableRequest(session_id=self.id, variable_identifier=name)
        answer = self._transport.unary(_methods.DELETE_VARIABLE, request)
        if not answer.success:
            raise _status.from_refusal(answer.error_message)

    # --- several ---

    def get_many(self, *names: str) -> dict[str, Any]:
        """The values of all `names`, read at one moment. Raises VariableNotFoundError naming all missing."""
        request = pb.BatchGetVariablesRequest(session_id=self.id, variable_identifiers=names)
        answer = self._transport.unary(_methods.GET_VARIABLES, request)
        if answer.missing_variables:
            raise VariableNotFoundError(f"Variable not found: {', '.join(answer.missing_variables)}")
        return {name: from_wire(answer.variables[name]).value for name in names}

    def update(
        self,
        values: Mapping[str, Any],
        *,
        expected_versions: Mapping[str, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """Set several registered variables, all or none; returns their new versions.

        Where one is refused, raises what setting it alone would raise; nothing is changed then.
        """
        request = pb.BatchSetVariablesRequest(
            session_id=self.id,
            atomic=True,
            metadata=metadata or {},
            expected_versions=expected_versions or {},
        )
        for name, value in values.items():
            encoded, payload = _values.encode(value)
            request.updates[name].CopyFrom(encoded)
            if payload is not None:
                request.binary_updates[name] = payload
        answer = self._transport.unary(_methods.SET_VARIABLES, request)
        if not answer.success or answer.errors:
            text = "; ".join(f"{name}: {why}" for name, why in sorted(answer.errors.items()))
            raise _status.from_refusal(text)
        return dict(answer.new_versions)

    def list_variables(self, pattern: str = "") -> list[Variable]:
        """All variables whose whole name matches the glob (`*` and `?`; all where empty)."""
        found: list[Variable] = []
        token = ""
        while True:
            request = pb.ListVariablesRequest(
                session_id=self.id, pattern=pattern, page_size=_PAGE, page_token=token
            )
            answer = self._transport.unary(_methods.LIST_VARIABLES, request)
            found.extend(from_wire(variable) for variable in answer.variables)
            token = answer.next_page_token
            if not token:
                return found

    # --- the session itself ---

    def info(self) -> SessionInfo:
        """The session's own data."""
        answer = self._transport.unary(_methods.GET_SESSION, pb.GetSessionRequest(session_id=self.id))
        return SessionInfo(
            id=answer.session_id,
            metadata=dict(answer.metadata),
            created_at=answer.created_at.ToDatetime(UTC),
            expires_at=answer.expires_at.ToDatetime(UTC),
            ttl_s=answer.ttl_seconds,
            variables=answer.variable_count,
            revision=answer.revision,
        )

    def touch(self) -> bool:
        """Extend the session's life; False where it is gone."""
        request = pb.HeartbeatRequest(session_id=self.id)
        return self._transport.unary(_methods.HEARTBEAT, request).session_valid

    def delete_session(self) -> bool:
        """Delete the session with all its variables; False where it was gone already."""
        request = pb.CleanupSessionRequest(session_id=self.id, force=True)
        return self._transport.unary(_methods.CLEANUP_SESSION, request).success

    # --- as a mapping ---

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        try:
            self.set(name, value)
        except VariableNotFoundError:
            self.register(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self.variable(name)
        except VariableNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter([variable.name for variable in self.list_variables()])

    def __len__(self) -> int:
        return len(self.list_variables())

    def __repr__(self) -> str:
        return f"Session({self._id!r})"
