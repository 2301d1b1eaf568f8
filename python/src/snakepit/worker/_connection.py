"""One stream between a worker and its node."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, Final

import grpc
import grpc.aio

from snakepit._endpoints import channel_options
from snakepit._methods import Metadata
from snakepit._proto.worker_v1_pb2 import FromWorker, Heartbeat, Hello, ToWorker, Welcome
from snakepit.errors import Refused, SnakepitError, Unavailable
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._drain import Drain
from snakepit.worker._frames import FrameStream
from snakepit.worker._outbox import Outbox
from snakepit.worker._output import logger
from snakepit.worker._telemetry import Telemetry

HEARTBEAT_INTERVAL_DEFAULT_MS: Final = 1000
_CONNECT: Final = "/snakepit.worker.v1.WorkerService/Connect"
# How long the node may take for its welcome, and to end the stream after a goodbye.
WELCOME_TIMEOUT_S: Final = 10.0
GOODBYE_TIMEOUT_S: Final = 1.0
_STATUS_TIMEOUT_S: Final = 0.2
_CLOSE_TIMEOUT_S: Final = 1.0
# What a message may have beyond the largest that settings allow.
_EXTRA_BYTES: Final = 64 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# Which is also how long the socket may take to be connected: a node that starts many workers is busy.
_PATIENT: Final = {"grpc.min_reconnect_backoff_ms": int(WELCOME_TIMEOUT_S * 1000)}
# Asked again, the node says the same.
_FINAL: Final = frozenset(
    (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
    )
)


class Connection:
    """One connection, from hello to goodbye or to where it breaks; `frames` names a socket for frames."""

    def __init__(
        self,
        target: str,
        message_bytes_max: int,
        *,
        frames: str = "",
        keepalive: bool = False,
        metadata: Metadata = (),
    ) -> None:
        self._frames = FrameStream(message_bytes_max + _EXTRA_BYTES) if frames else None
        self._path = frames
        if self._frames is not None:
            return
        options = dict(channel_options(message_bytes_max, keepalive=keepalive)) | _PATIENT
        self._channel = grpc.aio.insecure_channel(target, options=list(options.items()))
        connect = self._channel.stream_stream(
            _CONNECT,
            request_serializer=FromWorker.SerializeToString,
            response_deserializer=ToWorker.FromString,
        )
        self._stream: Any = connect(metadata=metadata or None)

    async def greet(self, hello: Hello, *, timeout_s: float = WELCOME_TIMEOUT_S) -> Welcome:
        """Say hello, hear the welcome.

        Raises Unavailable where the node does not answer in time, and Refused where it does not let us in.
        """
        try:
            async with asyncio.timeout(timeout_s):
                if self._frames is not None:
                    await self._frames.connect(self._path)
                await self._write(FromWorker(hello=hello))
                first = await self._next()
        except TimeoutError:
            raise Unavailable(f"no welcome from the node within {timeout_s:.1f} s") from None
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, OSError) as error:
            raise await self._refusal() from error
        if first is None:
            raise await self._refusal()
        if not isinstance(first, ToWorker) or first.WhichOneof("message") != "welcome":
            raise Unavailable("the node's first message is no welcome; is it of another version?")
        return first.welcome

    async def serve(
        self, welcome: Welcome, dispatcher: Dispatcher, outbox: Outbox, telemetry: Telemetry, drain: Drain
    ) -> bool:
        """Carry messages both ways until drained (True) or the stream breaks (False)."""
        telemetry.begin()
        dispatcher.attach(self._frames)
        try:
            return await self._carry(welcome, dispatcher, outbox, telemetry, drain)
        finally:
            dispatcher.attach(None)

    async def _carry(
        self, welcome: Welcome, dispatcher: Dispatcher, outbox: Outbox, telemetry: Telemetry, drain: Drain
    ) -> bool:
        reading = asyncio.create_task(self._read(dispatcher, outbox, telemetry, drain), name="read")
        writing = asyncio.create_task(outbox.write_all(self._write), name="write")
        interval_s = (welcome.heartbeat_interval_ms or HEARTBEAT_INTERVAL_DEFAULT_MS) / 1000
        beating = asyncio.create_task(_beat(outbox, dispatcher, telemetry, interval_s), name="beat")
        await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        beating.cancel()
        if outbox.finishing:
            # The node may have hung up on the goodbye before its write has come back.
            await asyncio.wait((writing,), timeout=GOODBYE_TIMEOUT_S)
        if not writing.done() or writing.exception() is not None:
            logger.error("the stream to the node broke: %s", await self.why())
            reading.cancel()
            writing.cancel()
            await asyncio.wait((reading, writing), timeout=_CLOSE_TIMEOUT_S)
            return False
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            if self._frames is not None:
                self._frames.end_writing()
            else:
                await self._stream.done_writing()
        await asyncio.wait((reading,), timeout=GOODBYE_TIMEOUT_S)
        return True

    async def close(self) -> None:
        """Give the connection up, whatever its state."""
        if self._frames is not None:
            self._frames.close()
            return
        self._stream.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._channel.close()

    async def why(self) -> str:
        """How the stream ended, in words."""
        code, details = await self._status()
        if code is None:
            return "no status"
        return f"{code.name}: {details}" if details else code.name

    async def _write(self, message: FromWorker) -> None:
        await (self._stream if self._frames is None else self._frames).write(message)

    async def _next(self) -> Any:
        """The next message; None at the end of the stream."""
        if self._frames is not None:
            return await self._frames.read()
        message = await self._stream.read()
        return None if message is grpc.aio.EOF else message

    async def _status(self) -> tuple[grpc.StatusCode | None, str]:
        if self._frames is not None:
            return self._frames.status()
        try:
            async with asyncio.timeout(_STATUS_TIMEOUT_S):
                return await self._stream.code(), await self._stream.details() or ""
        except (TimeoutError, asyncio.CancelledError):
            return None, ""

    async def _refusal(self) -> SnakepitError:
        code, _ = await self._status()
        kind = Refused if code in _FINAL else Unavailable
        return kind(f"the node refused the connection: {await self.why()}")

    async def _read(self, dispatcher: Dispatcher, outbox: Outbox, telemetry: Telemetry, drain: Drain) -> None:
        read = self._next
        try:
            while True:
                message = await read()
                if message is None:
                    return
                match message.WhichOneof("message"):
                    case "calls":
                        dispatcher.accept(message.calls.calls)
                    case "chunk_credits":
                        granted = message.chunk_credits
                        outbox.acknowledged(granted.sequence, granted.credits)
                        dispatcher.add_chunk_credits(granted.sequence, granted.credits)
                    case "cancel":
                        dispatcher.cancel(message.cancel.sequences, message.cancel.reason)
                    case "drain":
                        dispatcher.take_no_more()
                        drain.ask(message.drain.deadline_ms)
                    case "telemetry":
                        telemetry.apply(message.telemetry)
                    case "heartbeat_ack":
                        pass
                    case other:
                        logger.warning("a message of the node is not known here: %s", other)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return


async def _beat(outbox: Outbox, dispatcher: Dispatcher, telemetry: Telemetry, interval_s: float) -> None:
    number = 0
    while True:
        number += 1
        rss_bytes = _rss_bytes()
        beat = Heartbeat(number=number, running=dispatcher.running, rss_bytes=rss_bytes)
        outbox.send(FromWorker(heartbeat=beat))
        telemetry.memory(rss_bytes)
        await asyncio.sleep(interval_s)


def _rss_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
