"""What a streaming tool yields, as its caller reads it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

from snakepit._aio_endpoints import AsyncEndpoints, AsyncStream
from snakepit._endpoints import Endpoints, Stream
from snakepit._ops.tools import ToolChunk
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._resuming import Resuming
from snakepit._scope import Call
from snakepit.errors import SnakepitError


class ToolStream:
    """The values that a streaming tool yields, as they come; `close` cancels the call.

    Where a node dies under the stream of a pool that journals in full, it goes on at another one, without gap
    or repeat. `chunks` gives the values with their places.
    """

    def __init__(
        self, endpoints: Endpoints, call: Call[ToolChunk | None], *, timeout_s: float | None, request_id: str
    ) -> None:
        self._endpoints = endpoints
        self._resuming = Resuming(call, endpoints.budget_s(timeout_s), nodes=endpoints.count)
        self._request_id = request_id
        self._stream: Stream[pb.ToolChunk] | None = None
        self._ended = False

    @property
    def call_id(self) -> str:
        """The call that yielded the last value; empty before the first."""
        return self._resuming.call_id

    @property
    def number(self) -> int:
        """The place of the last value in the stream, from 0; -1 before the first."""
        return self._resuming.number

    def chunks(self) -> Iterator[ToolChunk]:
        """The values with their numbers and metadata."""
        while (chunk := self._next()) is not None:
            yield chunk

    def close(self) -> None:
        """Stop it; the node is told, and cancels the tool."""
        self._ended = True
        if self._stream is not None:
            self._stream.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        chunk = self._next()
        if chunk is None:
            raise StopIteration
        return chunk.value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> ToolChunk | None:
        while not self._ended:
            try:
                for answer in self._open():
                    chunk = self._resuming.call.read(answer)
                    if chunk is not None:
                        self._resuming.took(chunk)
                        return chunk
                self.close()
            except SnakepitError as error:
                time.sleep(self._again(error))
        return None

    def _open(self) -> Stream[pb.ToolChunk]:
        if self._stream is None:
            call = self._resuming.call
            self._stream = self._endpoints.stream(
                call.method, call.request, timeout_s=self._resuming.left_s(), request_id=self._request_id
            )
        return self._stream

    def _again(self, error: SnakepitError) -> float:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._request_id = None, ""
        try:
            return self._resuming.broke(error)
        except SnakepitError:
            self._ended = True
            raise


class AsyncToolStream:
    """The same for asyncio; `aclose` cancels the call."""

    def __init__(
        self,
        endpoints: AsyncEndpoints,
        call: Call[ToolChunk | None],
        *,
        timeout_s: float | None,
        request_id: str,
    ) -> None:
        self._endpoints = endpoints
        self._resuming = Resuming(call, endpoints.budget_s(timeout_s), nodes=endpoints.count)
        self._request_id = request_id
        self._stream: AsyncStream[pb.ToolChunk] | None = None
        self._ended = False

    @property
    def call_id(self) -> str:
        """The call that yielded the last value; empty before the first."""
        return self._resuming.call_id

    @property
    def number(self) -> int:
        """The place of the last value in the stream, from 0; -1 before the first."""
        return self._resuming.number

    async def chunks(self) -> AsyncIterator[ToolChunk]:
        """The values with their numbers and metadata."""
        while (chunk := await self._next()) is not None:
            yield chunk

    async def aclose(self) -> None:
        """Stop it; the node is told, and cancels the tool."""
        self._ended = True
        if self._stream is not None:
            await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk.value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _next(self) -> ToolChunk | None:
        while not self._ended:
            try:
                async for answer in self._open():
                    chunk = self._resuming.call.read(answer)
                    if chunk is not None:
                        self._resuming.took(chunk)
                        return chunk
                await self.aclose()
            except SnakepitError as error:
                await asyncio.sleep(await self._again(error))
        return None

    def _open(self) -> AsyncStream[pb.ToolChunk]:
        if self._stream is None:
            call = self._resuming.call
            self._stream = self._endpoints.stream(
                call.method, call.request, timeout_s=self._resuming.left_s(), request_id=self._request_id
            )
        return self._stream

    async def _again(self, error: SnakepitError) -> float:
        if self._stream is not None:
            await self._stream.aclose()
        self._stream, self._request_id = None, ""
        try:
            return self._resuming.broke(error)
        except SnakepitError:
            self._ended = True
            raise
