"""Calls about sessions, variables and other tools go on to whoever keeps the sessions, byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto.snakepit_bridge_pb2_grpc import BridgeServiceStub
from snakepit_bridge._server.engine import NO_ADDRESS
from snakepit_bridge.heartbeat import HeartbeatClient, HeartbeatConfig

SERVICE: Final = pb.DESCRIPTOR.services_by_name["BridgeService"]
_PREFIX: Final = "x-snakepit-"


class Proxy:
    """The handlers of all calls that are not answered here."""

    def __init__(self, channel: grpc.aio.Channel | None, heartbeat: HeartbeatConfig) -> None:
        self._channel = channel
        self._heartbeat = heartbeat
        self._beating: dict[str, HeartbeatClient] = {}

    def handlers(self, others: frozenset[str]) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """A handler for each call that is not one of `others`."""
        made: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in SERVICE.methods:
            if method.name in others or method.client_streaming:
                continue
            path = f"/{SERVICE.full_name}/{method.name}"
            if method.server_streaming:
                made[method.name] = grpc.unary_stream_rpc_method_handler(self._streamed(path))
            else:
                made[method.name] = grpc.unary_unary_rpc_method_handler(self._unary(path, method.name))
        return made

    def stop(self) -> None:
        """Send no more heartbeats."""
        for client in self._beating.values():
            client.stop()
        self._beating.clear()

    def _unary(self, path: str, name: str) -> Any:
        async def forward(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            channel = await self._needed(context)
            try:
                call: Any = channel.unary_unary(path)
                answer: bytes = await call(
                    request, metadata=_passed(context), timeout=context.time_remaining()
                )
            except grpc.aio.AioRpcError as error:
                await _pass_on(error, context)
                raise
            self._follow(name, request)
            return answer

        return forward

    def _streamed(self, path: str) -> Any:
        async def forward(
            request: bytes, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[bytes]:
            channel = await self._needed(context)
            try:
                call: Any = channel.unary_stream(path)
                async for answer in call(request, metadata=_passed(context)):
                    yield answer
            except grpc.aio.AioRpcError as error:
                await _pass_on(error, context)

        return forward

    def _follow(self, name: str, request: bytes) -> None:
        """A session that begins here gets heartbeats; one that ends gets none."""
        if name == "InitializeSession" and self._heartbeat.enabled and self._channel is not None:
            session_id = pb.InitializeSessionRequest.FromString(request).session_id
            if session_id not in self._beating:
                client = HeartbeatClient(BridgeServiceStub(self._channel), session_id, self._heartbeat)
                self._beating[session_id] = client
                client.start()
        elif name == "CleanupSession":
            ended = self._beating.pop(pb.CleanupSessionRequest.FromString(request).session_id, None)
            if ended is not None:
                ended.stop()

    async def _needed(self, context: grpc.aio.ServicerContext[Any, Any]) -> grpc.aio.Channel:
        if self._channel is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, NO_ADDRESS)
        assert self._channel is not None  # noqa: S101
        return self._channel


def _passed(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key.startswith(_PREFIX) and isinstance(value, str)
    )


async def _pass_on(error: grpc.aio.AioRpcError, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    trailing = tuple(error.trailing_metadata() or ())
    await context.abort(error.code(), error.details() or "", trailing)
