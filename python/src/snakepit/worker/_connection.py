"""The stream between a worker and its node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

import snakepit
from snakepit._endpoints import channel_options
from snakepit._proto.worker_v1_pb2 import FromWorker, Goodbye, Heartbeat, Hello, ToWorker, Welcome
from snakepit.errors import Unavailable
from snakepit.worker._dispatcher import Dispatcher
from snakepit.worker._host import Host
from snakepit.worker._outbox import Outbox
from snakepit.worker._output import logger
from snakepit.worker._settings import Settings

PROTOCOL: Final = 1
HEARTBEAT_INTERVAL_DEFAULT_MS: Final = 1000
_CONNECT: Final = "/snakepit.worker.v1.WorkerService/Connect"
# How long the node may take for its welcome, and to end the stream after a goodbye.
WELCOME_TIMEOUT_S: Final = 10.0
GOODBYE_TIMEOUT_S: Final = 1.0
_STATUS_TIMEOUT_S: Final = 0.2
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Connection:
    """One connection, from hello to goodbye; a worker never dials twice."""

    def __init__(self, settings: Settings) -> None:
        self._channel = grpc.aio.insecure_channel(
            f"unix:{settings.socket}", options=channel_options(settings.message_bytes_max)
        )
        connect = self._channel.stream_stream(
            _CONNECT,
            request_serializer=FromWorker.SerializeToString,
            response_deserializer=ToWorker.FromString,
        )
        self._stream: Any = connect()
        self._drain_asked = asyncio.Event()
        self._drain_deadline_ms = 0

    async def greet(self, settings: Settings, host: Host) -> Welcome:
        """Say hello, hear the welcome. Raises Unavailable where the node does not answer or refuses."""
        hello = Hello(
            protocol=PROTOCOL,
            worker_id=settings.worker_id,
            token=settings.token,
            pid=os.getpid(),
            adapter=settings.adapter,
            tools=host.specs,
            slots=settings.slots,
            credits=settings.credits,
            python_version=platform.python_version(),
            sdk_version=snakepit.__version__,
        )
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                await self._stream.write(FromWorker(hello=hello))
                first = await self._stream.read()
        except TimeoutError:
            raise Unavailable(f"no welcome from the node within {WELCOME_TIMEOUT_S:.0f} s") from None
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise Unavailable(f"the node refused the connection: {await self.why()}") from error
        if not isinstance(first, ToWorker) or first.WhichOneof("message") != "welcome":
            raise Unavailable("the node's first message is no welcome; is it of another version?")
        return first.welcome

    async def serve(self, welcome: Welcome, dispatcher: Dispatcher, outbox: Outbox) -> bool:
        """Carry messages both ways until drained (True) or the stream breaks (False)."""
        reading = asyncio.create_task(self._read(dispatcher), name="read")
        writing = asyncio.create_task(outbox.write_all(self._stream.write), name="write")
        draining = asyncio.create_task(self._drain(dispatcher, outbox), name="drain")
        interval_ms = welcome.heartbeat_interval_ms or HEARTBEAT_INTERVAL_DEFAULT_MS
        beating = asyncio.create_task(_beat(outbox, dispatcher, interval_ms / 1000), name="beat")
        await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        beating.cancel()
        if draining.done():
            # The node may have hung up on the goodbye before its write has come back.
            await asyncio.wait((writing,), timeout=GOODBYE_TIMEOUT_S)
        if not draining.done() or not writing.done() or writing.exception() is not None:
            logger.error("the stream to the node broke: %s", await self.why())
            return False
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._stream.done_writing()
        await asyncio.wait((reading,), timeout=GOODBYE_TIMEOUT_S)
        return True

    def ask_drain(self, deadline_ms: int = 0) -> None:
        """Begin to drain; from the loop. With a deadline, `drain_overdue` tells when it is over."""
        if not self._drain_asked.is_set():
            self._drain_deadline_ms = deadline_ms
            self._drain_asked.set()

    async def drain_overdue(self, act: Callable[[], None]) -> None:
        """Call `act` where a drain with a deadline has not ended by then."""
        await self._drain_asked.wait()
        if self._drain_deadline_ms:
            await asyncio.sleep(self._drain_deadline_ms / 1000)
            act()

    async def why(self) -> str:
        """How the stream ended, in words."""
        try:
            async with asyncio.timeout(_STATUS_TIMEOUT_S):
                code, details = await self._stream.code(), await self._stream.details()
        except (TimeoutError, asyncio.CancelledError):
            return "no status"
        return f"{code.name}: {details}" if details else str(code.name)

    async def _read(self, dispatcher: Dispatcher) -> None:
        read = self._stream.read
        try:
            while True:
                message = await read()
                if message is grpc.aio.EOF:
                    return
                self._take(message, dispatcher)
        except grpc.aio.AioRpcError:
            return

    def _take(self, message: ToWorker, dispatcher: Dispatcher) -> None:
        match message.WhichOneof("message"):
            case "calls":
                dispatcher.accept(message.calls.calls)
            case "chunk_credits":
                dispatcher.add_chunk_credits(message.chunk_credits.sequence, message.chunk_credits.credits)
            case "cancel":
                dispatcher.cancel(message.cancel.sequences, message.cancel.reason)
            case "drain":
                self.ask_drain(message.drain.deadline_ms)
            case "heartbeat_ack":
                pass
            case other:
                logger.warning("a message of the node is not known here: %s", other)

    async def _drain(self, dispatcher: Dispatcher, outbox: Outbox) -> None:
        await self._drain_asked.wait()
        await dispatcher.drain()
        # After the results, which the writer takes first once it is told to finish.
        outbox.finish(FromWorker(goodbye=Goodbye()))


async def _beat(outbox: Outbox, dispatcher: Dispatcher, interval_s: float) -> None:
    number = 0
    while True:
        number += 1
        beat = Heartbeat(number=number, running=dispatcher.running, rss_bytes=_rss_bytes())
        outbox.send(FromWorker(heartbeat=beat))
        await asyncio.sleep(interval_s)


def _rss_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
