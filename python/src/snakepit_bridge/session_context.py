"""A session's variables and the tools that its tools may call, as Snakepit offers them."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.errors import Invalid, NotFound, SessionNotFoundError, VariableNotFoundError
from snakepit_bridge import _calls, _errors, _wire
from snakepit_bridge._batch import Batch
from snakepit_bridge._cache import Cache, CachedVariable
from snakepit_bridge._proxies import BatchUpdater, VariableNamespace, VariableProxy
from snakepit_bridge._remote_tools import CORRELATION_ID, RemoteTools
from snakepit_bridge.types import TypeValidator, VariableType, type_name

if TYPE_CHECKING:
    from snakepit import Session

__all__ = [
    "BatchUpdater",
    "CachedVariable",
    "SessionContext",
    "VariableNamespace",
    "VariableNotFoundError",
    "VariableProxy",
]

logger: Final = logging.getLogger("snakepit_bridge.session_context")
_PAGE: Final = 1000


class SessionContext:
    """A session seen from a tool or a script; the session itself lives on the nodes.

    `stub` is a `BridgeServiceStub` over a channel to any node; workers bring their own. The third argument
    is `strict_mode` (0.4: no registering by `ctx["x"] = ...`) where it is a boolean, and the request's
    metadata (0.13) where it is a mapping. Safe to share between threads.

    What is read is kept for five seconds at most (`set_cache_ttl`), and never outlives this object. As a
    context manager it deletes the session on leaving, as Snakepit does; `close` leaves it alone.

    Raises VariableNotFoundError (a KeyError) for what is not there, ValueError for what a type or a
    constraint refuses; all errors are of `snakepit.errors` and, where a node sent them, `grpc.RpcError` too.
    """

    def __init__(
        self,
        stub: Any,
        session_id: str,
        strict_mode: bool | Mapping[str, str] | None = False,
        request_metadata: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(strict_mode, Mapping):
            request_metadata, strict_mode = strict_mode, None
        self.stub = stub
        self.session_id = session_id
        self.strict_mode = bool(strict_mode)
        self.request_metadata: dict[str, str] = dict(request_metadata or {})
        self._cache = Cache()
        self._tools = RemoteTools(stub, session_id, self.request_metadata)
        self._native: Session | None = None

    # --- what it is of ---

    @property
    def id(self) -> str:
        """The session's id."""
        return self.session_id

    @property
    def correlation_id(self) -> str:
        """That of the request; empty outside of one."""
        return self.request_metadata.get(CORRELATION_ID, "")

    @property
    def session(self) -> Session:
        """The same session with the interface of the package `snakepit`; inside our workers only."""
        if self._native is None:
            raise Invalid("this context was not made by a worker", hint="use snakepit.connect for a Session")
        return self._native

    def bind(self, session: Session) -> None:
        """Give it the session with the interface of `snakepit`; the worker does."""
        self._native = session

    # --- one variable ---

    def register_variable(
        self,
        name: str,
        var_type: VariableType | str,
        initial_value: Any,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: Any = None,
    ) -> str:
        """Make a variable; returns its id. Its name taken by one of the same type: that one is replaced.

        `ttl` has no effect, as in Snakepit. Raises ValueError.
        """
        del ttl
        kind = type_name(var_type)
        value, payload = _wire.encode(TypeValidator.validate(initial_value, kind), kind)
        request = pb.RegisterVariableRequest(
            session_id=self.session_id,
            name=name,
            type=kind,
            initial_value=value,
            constraints_json=json.dumps(dict(constraints)) if constraints else "",
            metadata=_texts(metadata),
            initial_binary_value=payload or b"",
        )
        answer = self._ask("RegisterVariable", request)
        self._check(answer)
        self._cache.forget(name, type_too=True)
        self._cache.know_type(name, kind)
        self._cache.know_type(answer.variable_id, kind)
        return str(answer.variable_id)

    def get_variable(self, identifier: str) -> Any:
        """The value of a variable, by name or id. Raises VariableNotFoundError."""
        return _value(self._variable(identifier))

    def update_variable(
        self, identifier: str, new_value: Any, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Give a variable a new value. Raises ValueError, VariableNotFoundError."""
        kind = self._cache.type_of(identifier)
        if kind is not None:
            self._set(identifier, TypeValidator.validate(new_value, kind), kind, metadata)
            return
        try:
            # In most cases the value is of its variable's type by itself, and this is one round trip.
            self._set(identifier, new_value, "", metadata)
        except Invalid as error:
            kind = self._variable(identifier).type
            converted = TypeValidator.validate(new_value, kind)
            if _is_same(converted, kind, new_value):
                raise error from None
            self._set(identifier, converted, kind, metadata)

    def delete_variable(self, identifier: str) -> None:
        """Delete a variable. Raises VariableNotFoundError."""
        request = pb.DeleteVariableRequest(session_id=self.session_id, variable_identifier=identifier)
        try:
            self._check(self._ask("DeleteVariable", request))
        finally:
            self._cache.forget(identifier, type_too=True)

    def list_variables(self, pattern: str | None = None) -> list[dict[str, Any]]:
        """All variables whose whole name matches the glob (`*` and `?`), as dicts."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            asked_at = time.monotonic()
            request = pb.ListVariablesRequest(
                session_id=self.session_id, pattern=pattern or "", page_size=_PAGE, page_token=token
            )
            answer = self._ask("ListVariables", request)
            for variable in answer.variables:
                self._cache.put(variable, asked_at=asked_at)
                found.append(_described(variable))
            token = answer.next_page_token
            if not token:
                return found

    # --- several ---

    def get_variables(self, identifiers: Sequence[str]) -> dict[str, Any]:
        """Values by the identifiers asked and by name. Raises VariableNotFoundError naming the missing."""
        found = {identifier: self._cache.get(identifier) for identifier in identifiers}
        wanted = [identifier for identifier, variable in found.items() if variable is None]
        if wanted:
            asked_at = time.monotonic()
            request = pb.BatchGetVariablesRequest(
                session_id=self.session_id, variable_identifiers=wanted, include_metadata=True
            )
            answer = self._ask("GetVariables", request)
            if answer.missing_variables:
                raise VariableNotFoundError(f"Variable not found: {', '.join(answer.missing_variables)}")
            for identifier, variable in answer.variables.items():
                self._cache.put(variable, identifier, asked_at=asked_at)
                found[identifier] = variable
        values: dict[str, Any] = {}
        for identifier, variable in found.items():
            if variable is not None:
                values[identifier] = values[variable.name] = _value(variable)
        return values

    def update_variables(
        self, updates: Mapping[str, Any], atomic: bool = False, metadata: Mapping[str, Any] | None = None
    ) -> dict[str, bool | str]:
        """Set several: for each True, or the text of what refused it.

        With `atomic` all or none; without, what can be set is.
        """
        try:
            return Batch(self._ask, self._cache, self.session_id).set(updates, atomic, _texts(metadata))
        finally:
            for identifier in updates:
                self._cache.forget(identifier)

    def batch_updates(self) -> BatchUpdater:
        """Collect updates in a `with` block, and send them at its end. Raises ValueError there."""
        return BatchUpdater(self)

    # --- as a mapping, as attributes ---

    def __getitem__(self, name: str) -> Any:
        return self.get_variable(name)

    def __setitem__(self, name: str, value: Any) -> None:
        try:
            self.update_variable(name, value)
        except SessionNotFoundError:
            raise
        except VariableNotFoundError:
            if self.strict_mode:
                raise
            self.register_variable(name, TypeValidator.infer_type(value), value)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self._variable(name)
        except VariableNotFoundError:
            return False
        return True

    @property
    def v(self) -> VariableNamespace:
        """Variables as attributes."""
        return VariableNamespace(self)

    def variable(self, name: str) -> VariableProxy:
        """A variable as an object."""
        return VariableProxy(self, name)

    # --- the cache ---

    def set_cache_ttl(self, ttl: timedelta) -> None:
        """How long a value that was read may be used again; zero: not at all."""
        self._cache.set_ttl(ttl)

    def clear_cache(self) -> None:
        """Forget what was read."""
        self._cache.clear()

    # --- tools ---

    @property
    def elixir_tools(self) -> RemoteTools:
        """Tools outside of this worker, by name; each is a dict of its description and can be called."""
        return self._tools

    @property
    def remote_tools(self) -> RemoteTools:
        """The same under a name that fits."""
        return self._tools

    def call_elixir_tool(self, tool_name: str, /, **arguments: Any) -> Any:
        """Call a tool outside of this worker and wait. Raises RuntimeError where it fails."""
        return self._tools.call_elixir(tool_name, arguments)

    def call_remote_tool(self, tool_name: str, /, **arguments: Any) -> Any:
        """The same under a name that fits."""
        return self._tools.call_elixir(tool_name, arguments)

    def call_tool(self, tool_name: str, /, **arguments: Any) -> Any:
        """Call any tool that the cluster has and wait. Raises RuntimeError where it fails."""
        return self._tools.call(tool_name, arguments)

    def register_tool(self, tool_class: Any) -> None:
        """Does nothing, as in Snakepit: workers announce their tools."""

    # --- its end ---

    def cleanup(self, force: bool = False) -> None:
        """Delete the session on the nodes; one that is gone already is no error.

        Without `force`, refused while an optimization of another owner runs in it.
        """
        self._cache.clear()
        with contextlib.suppress(NotFound):
            self._ask("CleanupSession", pb.CleanupSessionRequest(session_id=self.session_id, force=force))

    def close(self) -> None:
        """Forget what was read; the session lives on."""
        self._cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.cleanup(force=True)
        except Exception as second:
            if kind is None:
                raise
            # The error that is on its way says more.
            logger.warning("session %s was not deleted: %s", self.session_id, second)

    def __repr__(self) -> str:
        return f"SessionContext({self.session_id!r})"

    # --- calls ---

    def _ask(self, name: str, request: Any) -> Any:
        if not self.session_id:
            raise Invalid("this call names no session, so it has no variables", hint="call with a session")
        return _calls.ask(self.stub, name, request, correlation=self.correlation_id)

    def _variable(self, identifier: str) -> pb.Variable:
        cached = self._cache.get(identifier)
        if cached is not None:
            return cached
        asked_at = time.monotonic()
        request = pb.GetVariableRequest(session_id=self.session_id, variable_identifier=identifier)
        variable: pb.Variable = self._ask("GetVariable", request).variable
        self._cache.put(variable, identifier, asked_at=asked_at)
        return variable

    def _set(self, identifier: str, value: Any, kind: str, metadata: Mapping[str, Any] | None) -> None:
        encoded, payload = _wire.encode(value, kind)
        request = pb.SetVariableRequest(
            session_id=self.session_id,
            variable_identifier=identifier,
            value=encoded,
            metadata=_texts(metadata),
            binary_value=payload or b"",
        )
        try:
            self._check(self._ask("SetVariable", request))
        except VariableNotFoundError:
            self._cache.forget(identifier, type_too=True)
            raise
        finally:
            self._cache.forget(identifier)

    @staticmethod
    def _check(answer: Any) -> None:
        if not answer.success:
            raise _errors.of_refusal(answer.error_message)


def _value(variable: pb.Variable) -> Any:
    """A new object each time, so that a caller who changes it changes no other's."""
    return _wire.decode(variable.value, variable.binary_value)


def _described(variable: pb.Variable) -> dict[str, Any]:
    return {
        "id": variable.id,
        "name": variable.name,
        "type": variable.type,
        "value": _value(variable),
        "version": variable.version,
        "constraints": json.loads(variable.constraints_json or "{}"),
        "metadata": dict(variable.metadata),
        "optimizing": variable.optimization_status.optimizing,
    }


def _is_same(converted: Any, kind: str, value: Any) -> bool:
    """Whether a conversion made nothing else of the value."""
    try:
        return _wire.encode(converted, kind) == _wire.encode(value)
    except Invalid:
        return False


def _texts(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (metadata or {}).items()}
