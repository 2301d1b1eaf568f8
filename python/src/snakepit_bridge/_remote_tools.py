"""Tools that run elsewhere, called through the context: "Elixir tools", to Snakepit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit_bridge import _calls, _errors, _wire

# What a caller asked for its own call is not for those that its tool makes.
_OWN: Final = frozenset(("timeout_ms", "thread_sensitive", "idempotent"))
CORRELATION_ID: Final = "correlation_id"


class RemoteTool(dict[str, Any]):
    """A tool's description as a dict (0.13) which can be called (0.4)."""

    def __init__(self, caller: RemoteTools, spec: pb.ToolSpec) -> None:
        super().__init__(
            name=spec.name,
            description=spec.description,
            parameters=[_parameter(parameter) for parameter in spec.parameters],
            metadata=dict(spec.metadata),
            supports_streaming=spec.supports_streaming,
            required_variables=list(spec.required_variables),
        )
        self._caller = caller

    @property
    def name(self) -> str:
        """The tool's name."""
        return str(self["name"])

    def __call__(self, **arguments: Any) -> Any:
        """Call it and wait. Raises RuntimeError where it fails."""
        return self._caller.call_elixir(self.name, arguments)


class RemoteTools(Mapping[str, RemoteTool]):
    """The tools that a session's tools may call; asked for at the first look."""

    def __init__(self, stub: Any, session_id: str, request_metadata: Mapping[str, str]) -> None:
        self._stub = stub
        self._session_id = session_id
        self._metadata = {
            key: value
            for key, value in request_metadata.items()
            if key not in _OWN and not key.startswith("binary_format:")
        }
        self._found: dict[str, RemoteTool] | None = None

    def call_elixir(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run a tool outside of this worker. Raises RemoteToolError, a RuntimeError, where it fails."""
        request = pb.ExecuteElixirToolRequest(
            session_id=self._session_id, tool_name=name, metadata=self._metadata
        )
        for key, value in arguments.items():
            request.parameters[key].CopyFrom(_wire.encode_inline(value))
        return self._finish("ExecuteElixirTool", request)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run any tool of the cluster. Raises RemoteToolError, a RuntimeError, where it fails."""
        request = pb.ExecuteToolRequest(session_id=self._session_id, tool_name=name, metadata=self._metadata)
        for key, value in arguments.items():
            encoded, payload = _wire.encode(value)
            request.parameters[key].CopyFrom(encoded)
            if payload is not None:
                request.binary_parameters[key] = payload
        return self._finish("ExecuteTool", request)

    def _finish(self, method: str, request: Any) -> Any:
        answer = _calls.ask(
            self._stub,
            method,
            request,
            timeout_s=_calls.TOOL_TIMEOUT_S,
            correlation=self._metadata.get(CORRELATION_ID, ""),
        )
        if answer.success:
            return _wire.decode(answer.result, answer.binary_result)
        told = getattr(answer, "error", None)
        if told is not None and told.type:
            raise _errors.RemoteToolError(told.type, told.message, told.traceback)
        raise _errors.RemoteToolError(
            "RuntimeError", answer.error_message or f"tool {request.tool_name} failed"
        )

    def _tools(self) -> dict[str, RemoteTool]:
        if self._found is None:
            request = pb.GetExposedElixirToolsRequest(session_id=self._session_id)
            answer = _calls.ask(self._stub, "GetExposedElixirTools", request)
            self._found = {spec.name: RemoteTool(self, spec) for spec in answer.tools}
        return self._found

    def __getitem__(self, name: str) -> RemoteTool:
        return self._tools()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools())

    def __len__(self) -> int:
        return len(self._tools())

    def __repr__(self) -> str:
        return f"RemoteTools({sorted(self._found) if self._found is not None else '...'})"


def _parameter(spec: pb.ParameterSpec) -> dict[str, Any]:
    try:
        validation = json.loads(spec.validation_json or "{}")
    except ValueError:
        validation = {}
    return {
        "name": spec.name,
        "type": spec.type,
        "description": spec.description,
        "required": spec.required,
        "default": _wire.decode(spec.default_value) if spec.HasField("default_value") else None,
        "validation": validation,
    }
