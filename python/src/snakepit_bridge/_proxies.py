"""Ways to write a variable: as an object, as an attribute, as one of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from snakepit_bridge import _errors

if TYPE_CHECKING:
    from snakepit_bridge.session_context import SessionContext


class VariableProxy:
    """A variable by name; each use of `value` reads or writes it."""

    def __init__(self, context: SessionContext, name: str) -> None:
        self._context = context
        self._name = name

    @property
    def name(self) -> str:
        """Its name, or its id."""
        return self._name

    @property
    def value(self) -> Any:
        """The value. Raises VariableNotFoundError."""
        return self._context.get_variable(self._name)

    @value.setter
    def value(self, new_value: Any) -> None:
        self._context.update_variable(self._name, new_value)

    def __repr__(self) -> str:
        return f"VariableProxy({self._name!r})"


class VariableNamespace:
    """Variables as attributes: `ctx.v.rate` reads, `ctx.v.rate = 2` writes as `ctx["rate"] = 2` does."""

    def __init__(self, context: SessionContext) -> None:
        object.__setattr__(self, "_context", context)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return object.__getattribute__(self, "_context")[name]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__getattribute__(self, "_context")[name] = value


class BatchUpdater:
    """Collects updates; `commit` sends them. As a context manager it commits on leaving without an error."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._updates: dict[str, Any] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        self._updates[name] = value

    def update(self, updates: Mapping[str, Any]) -> None:
        """Add several."""
        self._updates.update(updates)

    def commit(self, atomic: bool = False) -> dict[str, bool | str]:
        """Send what was collected. Raises BatchUpdateError, a ValueError, where any was refused."""
        updates, self._updates = self._updates, {}
        if not updates:
            return {}
        results = self._context.update_variables(updates, atomic=atomic)
        failed = {name: text for name, text in results.items() if isinstance(text, str)}
        if failed:
            raise _errors.BatchUpdateError(failed)
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
