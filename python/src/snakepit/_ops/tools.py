"""Calls of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from snakepit import _chunks, _methods, _tool_values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Scope
from snakepit.errors import ToolError

# Metadata of the last chunk of a stream whose tool raised.
ERROR_TYPE: Final = "error_type"
ERROR_MESSAGE: Final = "error_message"
ERROR_TRACEBACK: Final = "error_traceback"


@dataclass(frozen=True, slots=True)
class CallResult:
    """A tool's answer: its value, where it ran, and what it printed (the newest 16 KiB of each stream).

    `recorded`: it is the answer of an earlier call with the same idempotency key. `attempts` is how often the
    call was begun.
    """

    value: Any
    node_id: int
    worker_id: str
    call_id: str
    execution_time_ms: int
    pool: str = ""
    stdout: str = ""
    stderr: str = ""
    recorded: bool = False
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks of a call beside the tool's work; see `Client.call`."""

    pool: str = ""
    idempotent: bool | None = None
    idempotency_key: str = ""
    correlation_id: str = ""
    metadata: Mapping[str, str] | None = None

    def as_metadata(self) -> dict[str, str]:
        """For the request; what is named goes before the free form."""
        named = {
            "pool": self.pool,
            "idempotent": "" if self.idempotent is None else str(self.idempotent).lower(),
            "idempotency_key": self.idempotency_key,
            "correlation_id": self.correlation_id,
        }
        return {**(self.metadata or {}), **{key: text for key, text in named.items() if text}}


@dataclass(frozen=True, slots=True)
class ToolChunk:
    """What a streaming tool yielded: its place in the stream, from 0, and the stream's call."""

    value: Any
    number: int
    call_id: str
    metadata: Mapping[str, str]


NO_WISHES: Final = Asked()


def call(
    tool: str, arguments: Mapping[str, Any], session_id: str, asked: Asked = NO_WISHES
) -> Call[CallResult]:
    """Run a tool."""
    repeatable = bool(asked.idempotent or asked.idempotency_key)
    method = replace(_methods.EXECUTE_TOOL, repeatable=repeatable)
    return Scope().call(method, _request(tool, arguments, session_id, asked), _result)


def stream(
    tool: str, arguments: Mapping[str, Any], session_id: str, asked: Asked = NO_WISHES
) -> Call[ToolChunk | None]:
    """Run a streaming tool; what `read` makes of a chunk is None where no tool has yielded it."""
    request = _request(tool, arguments, session_id, asked)
    request.stream = True
    return Scope().call(_methods.EXECUTE_STREAMING_TOOL, request, _yielded)


def resumed(call: Call[ToolChunk | None], call_id: str, number: int) -> Call[ToolChunk | None]:
    """Go on with a stream that broke, from a chunk's number."""
    request = pb.ExecuteToolRequest()
    request.CopyFrom(call.request)
    request.resume_call_id, request.resume_from = call_id, number
    return replace(call, request=request)


def ping(message: str) -> Call[str]:
    """Ask for a sign of life."""
    return Scope().call(_methods.PING, pb.PingRequest(message=message), lambda answer: answer.message)


def _request(tool: str, arguments: Mapping[str, Any], session_id: str, asked: Asked) -> pb.ExecuteToolRequest:
    request = pb.ExecuteToolRequest(session_id=session_id, tool_name=tool, metadata=asked.as_metadata())
    for name, value in arguments.items():
        encoded, payload = _tool_values.encode(value)
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
        value=_tool_values.decode(answer.result, answer.binary_result or None),
        node_id=answer.node_id,
        worker_id=answer.worker_id,
        call_id=answer.call_id,
        execution_time_ms=answer.execution_time_ms,
        pool=answer.pool,
        stdout=answer.stdout,
        stderr=answer.stderr,
        recorded=answer.recorded,
        attempts=answer.attempts or 1,
    )


def _yielded(chunk: pb.ToolChunk) -> ToolChunk | None:
    if ERROR_TYPE in chunk.metadata:
        raise ToolError(
            chunk.metadata[ERROR_TYPE],
            chunk.metadata.get(ERROR_MESSAGE, ""),
            chunk.metadata.get(ERROR_TRACEBACK, ""),
        )
    # Snakepit ends a stream with an empty chunk, which no tool has yielded.
    if chunk.data or not chunk.is_final:
        metadata = dict(chunk.metadata)
        value = _chunks.decode_chunk(chunk.data, metadata)
        return ToolChunk(value, chunk.number, chunk.call_id, metadata)
    return None
