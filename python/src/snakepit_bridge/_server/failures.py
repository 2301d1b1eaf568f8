"""A tool's exception in an answer, and as the status of a stream."""

from __future__ import annotations

import json
from typing import Final

import grpc

from snakepit._proto import snakepit_bridge_pb2 as pb

_STATUSES: Final = {
    "ValueError": grpc.StatusCode.INVALID_ARGUMENT,
    "Invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "NotImplementedError": grpc.StatusCode.UNIMPLEMENTED,
    "TimeoutError": grpc.StatusCode.DEADLINE_EXCEEDED,
    "DeadlineExceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "PermissionError": grpc.StatusCode.PERMISSION_DENIED,
    "FileNotFoundError": grpc.StatusCode.NOT_FOUND,
    "ToolNotFound": grpc.StatusCode.NOT_FOUND,
    "VariableNotFoundError": grpc.StatusCode.NOT_FOUND,
    "SessionNotFoundError": grpc.StatusCode.NOT_FOUND,
    "Cancelled": grpc.StatusCode.CANCELLED,
    "Exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: pb.ToolError) -> grpc.StatusCode:
    """The status for a stream whose tool raised this."""
    return _STATUSES.get(error.type, grpc.StatusCode.INTERNAL)


def text_of(error: pb.ToolError, request: pb.ExecuteToolRequest, legacy: str) -> str:
    """The `error_message`: the exception's text, or the document of 0.13 where that is asked for."""
    if legacy != "0.13":
        return error.message or error.type
    return json.dumps(
        {
            "type": error.type,
            "message": error.message,
            "stacktrace": error.traceback.splitlines(),
            "traceback": error.traceback,
            "context": {"tool_name": request.tool_name, "session_id": request.session_id},
        }
    )
