"""`ExecuteTool`, `ExecuteStreamingTool` and `Ping`: what is answered here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto.worker_v1_pb2 import Chunk, Result
from snakepit.worker._job import TIMEOUT_MS
from snakepit_bridge import _calls, _legacy, telemetry
from snakepit_bridge._remote_tools import CORRELATION_ID
from snakepit_bridge._server import failures
from snakepit_bridge._server.engine import Engine

_DAY_S: Final = 86_400
_DIGITS_MAX: Final = 15


class Tools:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._legacy = _legacy.chosen(engine.host.source)

    async def ping(self, request: pb.PingRequest, _context: Any) -> pb.PingResponse:
        """Tell that it lives."""
        answer = pb.PingResponse(message=f"Pong from Python: {request.message}")
        answer.server_time.GetCurrentTime()
        return answer

    async def execute(
        self, request: pb.ExecuteToolRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ExecuteToolResponse:
        """Run a tool; its exception is an answer too."""
        correlation = _correlate(request, context)
        async with contextlib.aclosing(self._run(request, context, stream=False)) as items:
            result: Result = await anext(items)
        answer = pb.ExecuteToolResponse(
            success=result.success,
            metadata={CORRELATION_ID: correlation},
            execution_time_ms=result.execution_time_us // 1000,
        )
        if result.success:
            answer.result.CopyFrom(result.value)
            answer.binary_result = result.binary_value
        else:
            answer.error.CopyFrom(result.error)
            answer.error_message = failures.text_of(result.error, request, self._legacy)
        return answer

    async def stream(
        self, request: pb.ExecuteToolRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ToolChunk]:
        """Run a tool and send what it yields; its exception is the stream's status."""
        _correlate(request, context)
        async with contextlib.aclosing(self._run(request, context, stream=True)) as items:
            async for item in items:
                if isinstance(item, Chunk):
                    yield pb.ToolChunk(
                        chunk_id=item.chunk_id,
                        data=item.data,
                        is_final=item.is_final,
                        metadata=item.metadata,
                    )
                elif not item.success:
                    await context.abort(failures.status_of(item.error), item.error.message or item.error.type)
        if self._legacy == "0.4":
            yield pb.ToolChunk(is_final=True)

    def _run(
        self, request: pb.ExecuteToolRequest, context: grpc.aio.ServicerContext[Any, Any], *, stream: bool
    ) -> Any:
        return self._engine.run(request, stream=stream, deadline_ms=_deadline_ms(request, context))


def _deadline_ms(request: pb.ExecuteToolRequest, context: grpc.aio.ServicerContext[Any, Any]) -> int:
    """The shorter of gRPC's own and `timeout_ms` in the metadata; 0 where there is none."""
    # None where there is no deadline, whatever the stubs say.
    left_s: Any = context.time_remaining()
    limits = [] if left_s is None or left_s > _DAY_S else [max(1, int(left_s * 1000))]
    asked = request.metadata.get(TIMEOUT_MS, "")
    if asked.isascii() and asked.isdigit() and 0 < len(asked) <= _DIGITS_MAX and int(asked):
        limits.append(int(asked))
    return min(limits, default=0)


def _correlate(request: pb.ExecuteToolRequest, context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The request's correlation id: its own, its header's, or a new one. It is in the metadata then."""
    found = request.metadata.get(CORRELATION_ID, "")
    sent: Any = context.invocation_metadata()
    for key, value in sent or ():
        if not found and key == _calls.CORRELATION_HEADER:
            found = value if isinstance(value, str) else value.decode()
    request.metadata[CORRELATION_ID] = found or telemetry.new_correlation_id()
    return request.metadata[CORRELATION_ID]
