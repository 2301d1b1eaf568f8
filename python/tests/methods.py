"""gRPC handlers for all calls of the package, by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from snakepit import _methods
from snakepit._proto import cluster_v1_pb2, session_v1_pb2
from snakepit._proto import snakepit_bridge_pb2 as pb

ALL = [method for method in vars(_methods).values() if isinstance(method, _methods.Method)]
_FILES = (pb, session_v1_pb2, cluster_v1_pb2)


def described(method: _methods.Method[Any, Any]) -> Any:
    """The schema's own word on a method."""
    services = {s.full_name: s for f in _FILES for s in f.DESCRIPTOR.services_by_name.values()}
    return services[method.service].methods_by_name[method.name]


class _ByPath(grpc.GenericRpcHandler):
    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)


def handlers(
    answer: Callable[[str, Any, grpc.ServicerContext], Any],
    watch: Callable[[Any, grpc.ServicerContext], Any],
) -> grpc.GenericRpcHandler:
    def unary(name: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        return lambda request, context: answer(name, request, context)

    by_path: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in ALL:
        streamed = described(method).server_streaming
        make: Any = grpc.unary_stream_rpc_method_handler if streamed else grpc.unary_unary_rpc_method_handler
        by_path[method.path] = make(
            (count if method is _methods.EXECUTE_STREAMING_TOOL else watch)
            if streamed
            else unary(method.name),
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    return _ByPath(by_path)


def count(request: pb.ExecuteToolRequest, context: grpc.ServicerContext) -> Any:
    for n in range(3):
        yield pb.ToolChunk(chunk_id=f"count-{n}", data=str(n).encode())
    if request.tool_name == "breaks":
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    failure = {"error_type": "ValueError", "error_message": "half way"}
    yield pb.ToolChunk(is_final=True, metadata=failure if request.tool_name == "raises" else {})
