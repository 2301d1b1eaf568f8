"""A mixin that ties an object's attributes to variables of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakepit_bridge.session_context import SessionContext, VariableNotFoundError


class VariableAwareMixin:
    """Attributes that follow variables: `bind_to_variable` ties one, `sync_variables` reads them all.

    The session is a `SessionContext`, or a stub (or a channel) and a session's id.
    """

    def __init__(
        self,
        *arguments: Any,
        session_context: SessionContext | None = None,
        stub: Any = None,
        channel: Any = None,
        session_id: str = "",
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._variable_bindings: dict[str, str] = {}
        if session_context is None and (stub is not None or channel is not None):
            session_context = _context(stub, channel, session_id)
        self._variable_context = session_context

    def set_variable_context(self, session_context: SessionContext) -> None:
        """Take another session; bindings stay."""
        self._variable_context = session_context

    def get_variable(self, name: str, default: Any = None) -> Any:
        """A variable's value; the default where it is missing."""
        try:
            return self._needed_context().get_variable(name)
        except VariableNotFoundError:
            return default

    def set_variable(self, name: str, value: Any) -> None:
        """Set a variable; it is registered where it is missing."""
        self._needed_context()[name] = value

    def register_variable(
        self, name: str, var_type: str, initial_value: Any, constraints: Mapping[str, Any] | None = None
    ) -> str:
        """Make a variable; returns its id."""
        return self._needed_context().register_variable(name, var_type, initial_value, constraints)

    def bind_to_variable(self, attribute: str, name: str = "") -> None:
        """Tie an attribute to a variable, which is named as it where no name is given, and read it."""
        self._variable_bindings[attribute] = name or attribute
        setattr(self, attribute, self._needed_context().get_variable(name or attribute))

    def unbind_variable(self, attribute: str) -> None:
        """Untie an attribute; its value stays."""
        self._variable_bindings.pop(attribute, None)

    def sync_variables(self) -> dict[str, Any]:
        """Read all that are bound; returns what changed, by attribute."""
        if not self._variable_bindings:
            return {}
        context = self._needed_context()
        context.clear_cache()
        values = context.get_variables(list(dict.fromkeys(self._variable_bindings.values())))
        changed: dict[str, Any] = {}
        for attribute, name in self._variable_bindings.items():
            if getattr(self, attribute, None) != values[name]:
                setattr(self, attribute, values[name])
                changed[attribute] = values[name]
        return changed

    def _needed_context(self) -> SessionContext:
        context = self._variable_context or getattr(self, "session_context", None)
        if not isinstance(context, SessionContext):
            raise RuntimeError("there is no session; give session_context, or a stub and a session_id")
        return context


def _context(stub: Any, channel: Any, session_id: str) -> SessionContext:
    if stub is None:
        from snakepit._proto.snakepit_bridge_pb2_grpc import BridgeServiceStub

        stub = BridgeServiceStub(channel)
    return SessionContext(stub, session_id)
