"""gRPC handlers for the bridge's calls, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from snakepit import _methods
from snakepit._proto import snakepit_bridge_pb2 as pb

ALL = [method for method in vars(_methods).values() if isinstance(method, _methods.Method)]


def handlers(answer: Callable[[str, Any, grpc.ServicerContext], Any]) -> grpc.GenericRpcHandler:
    def unary(name: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        return lambda request, context: answer(name, request, context)

    by_name: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        method.name: grpc.unary_unary_rpc_method_handler(
            unary(method.name),
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
        for method in ALL
        if not service().methods_by_name[method.name].server_streaming
    }

    def count(request: pb.ExecuteToolRequest, context: grpc.ServicerContext) -> Any:
        for n in range(3):
            yield pb.ToolChunk(chunk_id=f"count-{n}", data=str(n).encode())
        if request.tool_name == "breaks":
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        failure = {"error_type": "ValueError", "error_message": "half way"}
        yield pb.ToolChunk(is_final=True, metadata=failure if request.tool_name == "raises" else {})

    by_name["ExecuteStreamingTool"] = grpc.unary_stream_rpc_method_handler(
        count,
        request_deserializer=pb.ExecuteToolRequest.FromString,
        response_serializer=pb.ToolChunk.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("snakepit.bridge.BridgeService", by_name)


def service() -> Any:
    return pb.DESCRIPTOR.services_by_name["BridgeService"]
