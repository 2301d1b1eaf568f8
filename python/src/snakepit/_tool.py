"""The `tool` decorator, and the description that it infers from a function's signature."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, overload

from snakepit import _values
from snakepit._proto.snakepit_bridge_pb2 import ParameterSpec, ToolSpec
from snakepit.errors import Invalid

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE: Final = "__snakepit_tool__"
# Where Snakepit's own decorator leaves its metadata.
_LEGACY_ATTRIBUTE: Final = "_tool_metadata"
# Names under which a function may ask for the caller's session.
SESSION_PARAMETERS: Final = ("session", "ctx")
_NOT_ARGUMENTS: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class ToolMetadata:
    """What the decorator was told.

    `idempotent` calls may be run again after a worker's death. `thread_sensitive` sync tools all run on one
    and the same thread.
    """

    name: str = ""
    description: str = ""
    supports_streaming: bool = False
    required_variables: tuple[str, ...] = ()
    thread_sensitive: bool = False
    idempotent: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    description: str = "",
    *,
    name: str = "",
    supports_streaming: bool | None = None,
    required_variables: Sequence[str] = (),
    thread_sensitive: bool = False,
    idempotent: bool = False,
    **metadata: object,
) -> Callable[[F], F]: ...


def tool(
    description: Any = "",
    *,
    name: str = "",
    supports_streaming: bool | None = None,
    required_variables: Sequence[str] = (),
    thread_sensitive: bool = False,
    idempotent: bool = False,
    **metadata: object,
) -> Any:
    """Mark a function or method as a tool; the function itself stays as it is.

    The name is the function's own unless given, the description its docstring's first line, and
    `supports_streaming` whether it is a generator. Further keywords are the tool's metadata, as text.
    """

    def mark(function: F) -> F:
        doc = inspect.getdoc(function) or ""
        streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        marked = ToolMetadata(
            name=name or function.__name__,
            description=text or doc.partition("\n")[0],
            supports_streaming=streams if supports_streaming is None else supports_streaming,
            required_variables=tuple(required_variables),
            thread_sensitive=thread_sensitive,
            idempotent=idempotent,
            metadata={key: str(value) for key, value in metadata.items()},
        )
        setattr(function, ATTRIBUTE, marked)
        return function

    if callable(description):
        function, text = description, ""
        return mark(function)
    text = description
    return mark


def metadata_of(function: object) -> ToolMetadata | None:
    """What `tool`, ours or Snakepit's, left on a function; None where it is no tool."""
    own = getattr(function, ATTRIBUTE, None)
    if isinstance(own, ToolMetadata):
        return own
    legacy = getattr(function, _LEGACY_ATTRIBUTE, None)
    if legacy is None:
        return None
    return ToolMetadata(
        name=getattr(function, "__name__", ""),
        description=getattr(legacy, "description", ""),
        supports_streaming=bool(getattr(legacy, "supports_streaming", False)),
        required_variables=tuple(getattr(legacy, "required_variables", ()) or ()),
    )


def session_parameter(function: Callable[..., Any]) -> str | None:
    """The name of the parameter through which a function asks for the session, if it does.

    It is named `session` or `ctx` and annotated `Session`.
    """
    from snakepit._session import Session

    parameters = _parameters(function)
    hints = _hints(function)
    for name in SESSION_PARAMETERS:
        if name in parameters and Session in (hints.get(name), *typing.get_args(hints.get(name))):
            return name
    return None


def list_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that are annotated as lists, tuples or sequences."""
    return frozenset(name for name, hint in _hints(function).items() if _type_name(hint) == "list")


def tool_spec(function: Callable[..., Any], marked: ToolMetadata) -> ToolSpec:
    """The description of a tool for the wire."""
    metadata = dict(marked.metadata)
    if marked.thread_sensitive:
        metadata["thread_sensitive"] = "true"
    if marked.idempotent:
        metadata["idempotent"] = "true"
    hidden = session_parameter(function)
    hints = _hints(function)
    parameters = [
        _parameter_spec(parameter, hints.get(name))
        for name, parameter in _parameters(function).items()
        if name not in (hidden, "self", "cls") and parameter.kind not in _NOT_ARGUMENTS
    ]
    return ToolSpec(
        name=marked.name,
        description=marked.description,
        parameters=parameters,
        metadata=metadata,
        supports_streaming=marked.supports_streaming,
        required_variables=marked.required_variables,
    )


def _parameter_spec(parameter: inspect.Parameter, hint: object) -> ParameterSpec:
    required = parameter.default is inspect.Parameter.empty
    spec = ParameterSpec(name=parameter.name, type=_type_name(hint), required=required)
    if not required:
        try:
            value, payload = _values.encode(parameter.default)
            if payload is None:
                spec.default_value.CopyFrom(value)
                spec.validation_json = json.dumps({"default": _values.decode(value)})
        except Invalid:
            pass  # A default that has no wire form is still a default.
    return spec


_TYPE_NAMES: Final[dict[object, str]] = {
    float: "float",
    int: "integer",
    str: "string",
    bool: "boolean",
    bytes: "bytes",
    type(None): "null",
    dict: "map",
    Mapping: "map",
    list: "list",
    tuple: "list",
    Sequence: "list",
}


def _type_name(hint: object) -> str:
    """The wire type of an annotation, `any` where there is no single one."""
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, types.UnionType):
        others = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return _type_name(others[0]) if len(others) == 1 else "any"
    return _TYPE_NAMES.get(origin, "any") if isinstance(origin, typing.Hashable) else "any"


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, resolved as far as they can be."""
    from snakepit._session import Session

    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # Names imported for type checkers only: the session's is known, the others stay text.
        raw = getattr(function, "__annotations__", {})
        by_text = {"Session": Session, "snakepit.Session": Session}
        by_text |= {"float": float, "int": int, "str": str, "bool": bool}  # type: ignore[dict-item]
        return {
            name: by_text.get(hint, hint) if isinstance(hint, str) else hint for name, hint in raw.items()
        }
