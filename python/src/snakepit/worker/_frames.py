"""The stream between a worker and its node as frames on a Unix socket: a message after its length."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import threading
from collections import deque
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from snakepit._proto.worker_v1_pb2 import FromWorker, ToWorker

_LENGTH_BYTES: Final = 4
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_CONNECT_TIMEOUT_S: Final = 1.0
_PIECE_BYTES: Final = 256 * 1024
# Beyond this a writer on the loop waits for the node.
_UNSENT_BYTES_MAX: Final = 256 * 1024


class FrameStream:
    """One connection, with the few methods of a gRPC stream that a worker uses.

    One at a time reads: the loop, or, between `pause_reading` and `resume_reading`, the thread that calls
    `wait` and `receive`. `send` is for any thread, all else for the loop.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._loop: asyncio.AbstractEventLoop
        self._socket: socket.socket | None = None
        self._piece = memoryview(bytearray(_PIECE_BYTES))
        self._buffer = bytearray()
        # What has come and is not taken yet; for whoever reads.
        self.messages: deque[ToWorker] = deque()
        self._reads = False
        self._reader: asyncio.Future[None] | None = None
        self._wake_fd = -1
        self._poll = select.poll()
        self._sending = threading.Lock()
        self._unsent = bytearray()
        self._writer: asyncio.Future[None] | None = None
        self._ends_writing = False
        # Nothing more comes.
        self.ended = False
        self._code: grpc.StatusCode | None = None
        self._details = ""

    async def connect(self, path: str) -> None:
        """Dial. Raises OSError where nobody listens."""
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Not the loop's own way, which takes a socket for connected whose listener's queue is full.
            dialled.settimeout(_CONNECT_TIMEOUT_S)
            dialled.connect(path)
        except OSError:
            dialled.close()
            raise
        dialled.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._socket = dialled
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(dialled.fileno(), select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)
        self.resume_reading()

    async def read(self) -> ToWorker | None:
        """The next message; None at the end of the stream."""
        while not self.messages:
            if self.ended:
                return None
            self._reader = self._loop.create_future()
            await self._reader
        return self.messages.popleft()

    async def write(self, message: FromWorker) -> None:
        """Send a message; waits while the node is slow to take them. Raises ConnectionError."""
        self.send(message)
        while len(self._unsent) > _UNSENT_BYTES_MAX and not self.ended:
            self._writer = self._loop.create_future()
            await self._writer

    def send(self, message: FromWorker) -> None:
        """Send a message, or keep it while the node has no room; from any thread. Raises ConnectionError."""
        data = message.SerializeToString()
        frame = len(data).to_bytes(_LENGTH_BYTES, "big") + data
        with self._sending:
            if self._socket is None or self.ended or self._ends_writing:
                raise ConnectionResetError("the stream to the node is closed")
            if self._unsent:
                self._unsent += frame
                return
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                sent = 0
            if sent < len(frame):
                self._unsent += memoryview(frame)[sent:]
                self._loop.call_soon_threadsafe(self._wait_for_room)

    def end_writing(self) -> None:
        """Tell the node that nothing more comes, behind what is not sent yet."""
        with self._sending:
            if self._socket is None or self.ended:
                return
            self._ends_writing = True
            if not self._unsent:
                self._shut()

    def close(self) -> None:
        """Give the connection up. Nobody else reads it by now."""
        self.pause_reading()
        with self._sending:
            self.ended = True
            if self._socket is not None:
                self._loop.remove_writer(self._socket.fileno())
                self._socket.close()
                os.close(self._wake_fd)
                self._socket = None
        self._wake_waiters()

    def status(self) -> tuple[grpc.StatusCode | None, str]:
        """Why the node refused, or how the stream ended; no code where that is not known."""
        return self._code, self._details

    # --- reading ---

    def pause_reading(self) -> None:
        """Leave what comes to a thread."""
        if self._reads and self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
        self._reads = False

    def resume_reading(self) -> None:
        """Take what comes on the loop, first what a thread left."""
        if self.ended or self._socket is None:
            self._wake_waiters()
            return
        if not self._reads:
            self._reads = True
            self._loop.add_reader(self._socket.fileno(), self._readable)
        self._wake_reader()

    def wait(self) -> None:
        """Wait on a thread until something came, the stream ended, or `interrupt` was called."""
        for descriptor, _ in self._poll.poll():
            if descriptor == self._wake_fd:
                with contextlib.suppress(OSError):
                    os.eventfd_read(self._wake_fd)

    def interrupt(self) -> None:
        """End the wait of a thread."""
        if self._socket is not None:
            os.eventfd_write(self._wake_fd, 1)

    def receive(self) -> None:
        """Take what has come, without waiting, to the end of `messages`; from whoever reads."""
        if self._socket is None or self.ended:
            return
        try:
            length = self._socket.recv_into(self._piece)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        if not length:
            self._end("")
            return
        if not self._buffer and self._is_whole(length):
            self._decode(self._piece[_LENGTH_BYTES:length])
            return
        self._buffer += self._piece[:length]
        self._parse()

    def _readable(self) -> None:
        self.receive()
        if self.ended:
            self.pause_reading()
            self._wake_waiters()
        elif self.messages:
            self._wake_reader()

    def _parse(self) -> None:
        """Take the messages out of the buffer, which may hold parts of one, or several."""
        buffer = self._buffer
        start, end = 0, len(buffer)
        while end - start >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + _LENGTH_BYTES], "big")
            if length > self._bytes_max:
                self._end(f"a message has {length} bytes, the limit is {self._bytes_max}")
                return
            if end - start - _LENGTH_BYTES < length:
                break
            start += _LENGTH_BYTES
            self._decode(buffer[start : start + length])
            if self.ended:
                return
            start += length
        del buffer[:start]

    def _is_whole(self, length: int) -> bool:
        """Whether the piece that came is one message, as it is where calls come one by one."""
        rest = length - _LENGTH_BYTES
        return 0 <= rest <= self._bytes_max and int.from_bytes(self._piece[:_LENGTH_BYTES], "big") == rest

    def _decode(self, data: bytearray | memoryview) -> None:
        try:
            message = ToWorker.FromString(bytes(data))
        except DecodeError as error:
            self._end(f"a message is malformed: {error}")
            return
        if message.HasField("refusal"):
            self._code = _CODES.get(message.refusal.code, grpc.StatusCode.UNKNOWN)
            self._details = message.refusal.message
        else:
            self.messages.append(message)

    def _end(self, details: str) -> None:
        self.ended = True
        self._details = self._details or details

    def _wake_waiters(self) -> None:
        self._wake_reader()
        self._wake_writer()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # --- writing ---

    def _wait_for_room(self) -> None:
        if self._socket is not None:
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        with self._sending:
            if self._socket is None:
                return
            try:
                del self._unsent[: self._socket.send(self._unsent)]
            except BlockingIOError:
                return
            except OSError:
                # The reader will see how it ended.
                self._unsent.clear()
            if not self._unsent:
                self._loop.remove_writer(self._socket.fileno())
                if self._ends_writing:
                    self._shut()
        if len(self._unsent) <= _UNSENT_BYTES_MAX:
            self._wake_writer()

    def _shut(self) -> None:
        assert self._socket is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
