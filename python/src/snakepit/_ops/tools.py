"""Calls of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from snakepit import _chunks, _methods, _values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Scope, texts
from snakepit.errors import ToolError

# Metadata of the last chunk of a stream whose tool raised.
ERROR_TYPE: Final = "error_type"
ERROR_MESSAGE: Final = "error_message"
ERROR_TRACEBACK: Final = "error_traceback"

NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class CallResult:
    """A tool's answer: its value, and where it ran."""

    value: Any
    node_id: int
    worker_id: str
    call_id: str
    execution_time_ms: int


def call(
    tool: str, arguments: Mapping[str, Any], session_id: str, *, metadata: Mapping[str, str] | None
) -> Call[CallResult]:
    """Run a tool."""
    return Scope().call(_methods.EXECUTE_TOOL, _request(tool, arguments, session_id, metadata), _result)


def stream(tool: str, arguments: Mapping[str, Any], session_id: str) -> Call[Any]:
    """Run a streaming tool; what `read` makes of a chunk is NOTHING where no tool has yielded it."""
    request = _request(tool, arguments, session_id, None)
    request.stream = True
    return Scope().call(_methods.EXECUTE_STREAMING_TOOL, request, _yielded)


def ping(message: str) -> Call[str]:
    """Ask for a sign of life."""
    return Scope().call(_methods.PING, pb.PingRequest(message=message), lambda answer: answer.message)


def _request(
    tool: str, arguments: Mapping[str, Any], session_id: str, metadata: Mapping[str, str] | None
) -> pb.ExecuteToolRequest:
    request = pb.ExecuteToolRequest(session_id=session_id, tool_name=tool, metadata=texts(metadata))
    for name, value in arguments.items():
        encoded, payload = _values.encode(value)
        request.parameters[name].CopyFrom(encoded)
        if payload is not None:
            request.binary_parameters[name] = payload
    return request


def _result(answer: pb.ExecuteToolResponse) -> CallResult:
    if not answer.success:
        if answer.HasField("error"):
            error = answer.error
            raise ToolError(
                error.type,
                error.message,
                error.traceback,
                kind=error.kind,
                hint=error.hint,
                details=error.details,
            )
        raise ToolError("ToolError", answer.error_message)
    return CallResult(
        value=_values.decode(answer.result, answer.binary_result or None),
        node_id=answer.node_id,
        worker_id=answer.worker_id,
        call_id=answer.call_id,
        execution_time_ms=answer.execution_time_ms,
    )


def _yielded(chunk: pb.ToolChunk) -> Any:
    if ERROR_TYPE in chunk.metadata:
        raise ToolError(
            chunk.metadata[ERROR_TYPE],
            chunk.metadata.get(ERROR_MESSAGE, ""),
            chunk.metadata.get(ERROR_TRACEBACK, ""),
        )
    # Snakepit ends a stream with an empty chunk, which no tool has yielded.
    if chunk.data or not chunk.is_final:
        return _chunks.decode_chunk(chunk.data, dict(chunk.metadata))
    return NOTHING
