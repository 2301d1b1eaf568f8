"""The stream between a worker and its node as frames on a Unix socket: a message after its length."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import grpc

from snakepit._proto.worker_v1_pb2 import FromWorker, ToWorker

_LENGTH_BYTES: Final = 4
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class FrameStream(asyncio.Protocol):
    """One connection, with the few methods of a gRPC stream that a worker uses. For the loop only."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._messages: deque[ToWorker] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._closed = False
        self._code: grpc.StatusCode | None = None
        self._details = ""

    async def connect(self, path: str) -> None:
        """Dial. Raises OSError where nobody listens."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, path)

    async def read(self) -> ToWorker | None:
        """The next message; None at the end of the stream."""
        while not self._messages:
            if self._closed:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._messages.popleft()

    async def write(self, message: FromWorker) -> None:
        """Send a message; waits while the node is slow to take them. Raises ConnectionError."""
        if self._transport is None or self._closed:
            raise ConnectionResetError("the stream to the node is closed")
        data = message.SerializeToString()
        self._transport.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
        if self._paused:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    def end_writing(self) -> None:
        """Tell the node that nothing more comes."""
        if self._transport is not None and not self._closed and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.abort()

    def status(self) -> tuple[grpc.StatusCode | None, str]:
        """Why the node refused, or how the stream ended; no code where that is not known."""
        return self._code, self._details

    # --- of the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came; it may hold parts of messages, or several."""
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + _LENGTH_BYTES], "big")
            if length > self._bytes_max:
                self._fail(f"a message has {length} bytes, the limit is {self._bytes_max}")
                return
            if end - start - _LENGTH_BYTES < length:
                break
            start += _LENGTH_BYTES
            self._take(ToWorker.FromString(bytes(buffer[start : start + length])))
            start += length
        del buffer[:start]
        if self._messages and self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _take(self, message: ToWorker) -> None:
        if message.HasField("refusal"):
            self._code = _CODES.get(message.refusal.code, grpc.StatusCode.UNKNOWN)
            self._details = message.refusal.message
        else:
            self._messages.append(message)

    def _fail(self, details: str) -> None:
        self._details = details
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._closed = True
        if exc is not None and not self._details:
            self._details = str(exc)
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def pause_writing(self) -> None:
        """The node is slow to take what was written."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
