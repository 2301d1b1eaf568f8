"""The base class of adapters, and the decorator that makes tools of its methods."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import snakepit
from snakepit import _values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.errors import Invalid
from snakepit_bridge import _calls, _errors

if TYPE_CHECKING:
    from snakepit_bridge.session_context import SessionContext

logger: Final = logging.getLogger("snakepit_bridge.base_adapter")
F = TypeVar("F", bound=Callable[..., Any])
_NO_PARAMETERS: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# What a node answers for a tool that another worker of the session has registered.
_DUPLICATE: Final = "duplicate_tool"
EXECUTE_TOOL: Final = "execute_tool"


@dataclass
class ToolMetadata:
    """What `tool` was told; it is found as `_tool_metadata` on the function."""

    description: str = ""
    supports_streaming: bool = False
    parameters: list[Any] = field(default_factory=list)
    required_variables: list[str] = field(default_factory=list)
    thread_sensitive: bool = False
    idempotent: bool = False


@overload
def tool(description: F, /) -> F: ...
@overload
def tool(
    description: str = "",
    supports_streaming: bool = False,
    required_variables: Sequence[str] | None = None,
    *,
    thread_sensitive: bool = False,
    idempotent: bool = False,
) -> Callable[[F], F]: ...


def tool(
    description: Any = "",
    supports_streaming: bool = False,
    required_variables: Sequence[str] | None = None,
    *,
    thread_sensitive: bool = False,
    idempotent: bool = False,
) -> Any:
    """Make a tool of a method. The description is the docstring's first line where none is given."""

    def mark(function: F) -> F:
        marked: F = snakepit.tool(
            text,
            # A generator streams whatever it was told.
            supports_streaming=supports_streaming or None,
            required_variables=tuple(required_variables or ()),
            thread_sensitive=thread_sensitive,
            idempotent=idempotent,
        )(function)
        about = ToolMetadata(
            description=text or (inspect.getdoc(function) or "").partition("\n")[0],
            supports_streaming=supports_streaming
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function),
            required_variables=list(required_variables or ()),
            thread_sensitive=thread_sensitive,
            idempotent=idempotent,
        )
        marked._tool_metadata = about  # type: ignore[attr-defined]
        return marked

    if callable(description):
        # Without parentheses.
        text = ""
        return mark(description)
    text = str(description)
    return mark


class BaseAdapter:
    """A base class for adapters; a plain class works too. One instance serves one request."""

    _session_context: SessionContext | None = None
    session_context: SessionContext | None = None

    def set_session_context(self, session_context: SessionContext) -> None:
        """Take the request's session; called before anything else."""
        self._session_context = session_context
        self.session_context = session_context

    @property
    def session_id(self) -> str | None:
        """The request's session, where there is one."""
        return self._session_context.session_id if self._session_context is not None else None

    def get_tools(self) -> list[pb.ToolRegistration]:
        """All methods that are tools, and `execute_tool` where there is one."""
        registrations = [
            self._create_tool_registration(name, function, about) for name, function, about in self._tools()
        ]
        dispatcher = getattr(self, EXECUTE_TOOL, None)
        if callable(dispatcher) and getattr(dispatcher, "_tool_metadata", None) is None:
            about = ToolMetadata(description="Takes every tool's name.", supports_streaming=True)
            registrations.append(self._create_tool_registration(EXECUTE_TOOL, dispatcher, about))
        return registrations

    def call_tool(self, tool_name: str, /, **arguments: Any) -> Any:
        """What a tool of this adapter returns. Raises AttributeError where it has none of that name."""
        for name, function, _ in self._tools():
            if name == tool_name:
                return function(**arguments)
        raise AttributeError(f"tool not found: {tool_name}")

    def register_with_session(self, session_id: str, stub: Any) -> list[str]:
        """Tell a session's node of the tools; returns their names. Tools that are known are no error."""
        tools = self.get_tools()
        request = pb.RegisterToolsRequest(session_id=session_id, tools=tools, worker_id=self._worker_id())
        answer = _calls.ask(stub, "RegisterTools", request)
        return self._registered(tools, answer)

    async def register_with_session_async(self, session_id: str, stub: Any) -> list[str]:
        """The same over a stub of `grpc.aio`, or, on a thread, over any other."""
        tools = self.get_tools()
        request = pb.RegisterToolsRequest(session_id=session_id, tools=tools, worker_id=self._worker_id())
        import grpc

        if isinstance(stub.RegisterTools, grpc.aio.UnaryUnaryMultiCallable):
            try:
                answer = await stub.RegisterTools(request, timeout=_calls.STATE_TIMEOUT_S)
            except grpc.RpcError as error:
                raise _errors.of_rpc(error) from error
        else:
            answer = await asyncio.to_thread(_calls.ask, stub, "RegisterTools", request)
            if inspect.isawaitable(answer):
                answer = await answer
        return self._registered(tools, answer)

    def _registered(self, tools: Sequence[pb.ToolRegistration], answer: Any) -> list[str]:
        if not answer.success and _DUPLICATE not in answer.error_message:
            raise _errors.of_refusal(answer.error_message)
        return list(answer.tool_ids) or [registration.name for registration in tools]

    def _worker_id(self) -> str:
        return os.environ.get("SNAKEPIT_WORKER_ID", "") or f"python-{id(self)}"

    def _tools(self) -> Iterator[tuple[str, Callable[..., Any], ToolMetadata]]:
        for attribute in dir(type(self)):
            if isinstance(inspect.getattr_static(type(self), attribute, None), property):
                continue
            function = getattr(self, attribute, None)
            about = getattr(function, "_tool_metadata", None)
            if callable(function) and about is not None:
                yield attribute, function, about

    def _create_tool_registration(
        self, name: str, function: Callable[..., Any], metadata: ToolMetadata
    ) -> pb.ToolRegistration:
        parameters = [
            self._create_parameter_spec(parameter_name, parameter)
            for parameter_name, parameter in inspect.signature(function).parameters.items()
            if parameter_name not in ("self", "cls") and parameter.kind not in _NO_PARAMETERS
        ]
        flags: Mapping[str, bool] = {
            "thread_sensitive": getattr(metadata, "thread_sensitive", False),
            "idempotent": getattr(metadata, "idempotent", False),
            "supports_streaming": metadata.supports_streaming,
        }
        return pb.ToolRegistration(
            name=name,
            description=metadata.description,
            parameters=parameters,
            metadata={flag: "true" for flag, is_set in flags.items() if is_set},
            supports_streaming=metadata.supports_streaming,
        )

    def _create_parameter_spec(self, name: str, parameter: inspect.Parameter) -> pb.ParameterSpec:
        required = parameter.default is inspect.Parameter.empty
        spec = pb.ParameterSpec(name=name, type=_annotation(parameter.annotation), required=required)
        if not required:
            try:
                value, payload = _values.encode(parameter.default)
                if payload is None:
                    spec.default_value.CopyFrom(value)
                    spec.validation_json = json.dumps({"default": parameter.default}, default=str)
            except Invalid:
                pass  # A default that has no wire form is still a default.
        return spec


def _annotation(annotation: Any) -> str:
    """The annotation's name in lower case, or `any`."""
    if annotation is inspect.Parameter.empty:
        return "any"
    if isinstance(annotation, str):
        return annotation.lower()
    return getattr(annotation, "__name__", "any").lower()
