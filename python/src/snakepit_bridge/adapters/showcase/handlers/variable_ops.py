"""Variables of the caller's session."""

from __future__ import annotations

from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool


def register_variable(
    ctx: Any,
    name: str,
    type: str,  # noqa: A002
    initial_value: Any,
    constraints: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make a variable."""
    return {"variable_id": ctx.register_variable(name, type, initial_value, constraints)}


def get_variable(ctx: Any, name: str) -> dict[str, Any]:
    """Read a variable."""
    return {"name": name, "value": ctx[name]}


def set_variable(ctx: Any, name: str, value: Any) -> dict[str, Any]:
    """Set a variable; it is registered where it is missing."""
    ctx[name] = value
    return {"name": name, "value": ctx[name]}


def update_batch(ctx: Any, updates: dict[str, Any], atomic: bool = False) -> dict[str, Any]:
    """Set several variables."""
    results: dict[str, Any] = ctx.update_variables(updates, atomic=atomic)
    return results


def list_variables(ctx: Any, pattern: str = "") -> list[dict[str, Any]]:
    """All variables whose name matches."""
    found: list[dict[str, Any]] = ctx.list_variables(pattern)
    return found


def delete_variable(ctx: Any, name: str) -> dict[str, Any]:
    """Delete a variable."""
    ctx.delete_variable(name)
    return {"deleted": name}


TOOLS: Final = [
    Tool(function)
    for function in (
        register_variable,
        get_variable,
        set_variable,
        update_batch,
        list_variables,
        delete_variable,
    )
]
