"""Modules of DSPy whose settings follow variables. Deprecated in Snakepit too; dspy is not needed here."""

from __future__ import annotations

from typing import Any, TypeVar

from snakepit_bridge.session_context import SessionContext
from snakepit_bridge.variable_aware_mixin import VariableAwareMixin

__all__ = ["VariableAwareMixin", "VariableAwareModule", "create_variable_aware_program"]

T = TypeVar("T")


class VariableAwareModule(VariableAwareMixin):
    """Put it before a module's class: ``class Answer(VariableAwareModule, dspy.ChainOfThought)``.

    Bound attributes are read again before each call.
    """

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Read the bound variables, then do what the module does."""
        self.sync_variables()
        return super().__call__(*arguments, **named)  # type: ignore[misc]


def create_variable_aware_program(
    module_class: type[T],
    *arguments: Any,
    session_context: SessionContext,
    variable_bindings: dict[str, str] | None = None,
    **named: Any,
) -> T:
    """An instance of a module's class whose attributes follow variables, by attribute and variable's name."""
    made: Any = type(f"VariableAware{module_class.__name__}", (VariableAwareModule, module_class), {})
    program = made(*arguments, session_context=session_context, **named)
    for attribute, name in (variable_bindings or {}).items():
        program.bind_to_variable(attribute, name)
    result: T = program
    return result
