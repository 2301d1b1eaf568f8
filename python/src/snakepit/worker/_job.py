"""A call on its way through the worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from snakepit._endpoints import TIMEOUT_S, Endpoints
from snakepit._methods import CALL_TOKEN, A, Metadata, Method, Q, Transport
from snakepit._proto.worker_v1_pb2 import Call
from snakepit._running import Stream
from snakepit._session import Session
from snakepit.worker import _trace
from snakepit.worker._capture import Outputs
from snakepit.worker._host import Entry
from snakepit.worker._tool_loop import ToolLoop

if TYPE_CHECKING:
    from snakepit.worker._telemetry import Telemetry

CHUNK_CREDITS_DEFAULT: Final = 64
# Keys of a request's metadata.
TIMEOUT_MS: Final = "timeout_ms"
THREAD_SENSITIVE: Final = "thread_sensitive"
CORRELATION_ID: Final = "correlation_id"
CORRELATION_HEADER: Final = "x-snakepit-correlation-id"
_CORRELATION_CHARS_MAX: Final = 256
_DIGITS_MAX: Final = 15
# Where a job is: not handed out, with the slots' threads, on the loop of async tools, or on the thread of
# sensitive ones.
WAITING, ON_SLOTS, ON_LOOP, APART = range(4)


class Job:
    """One call: what was asked, which entry serves it, and the handles to stop it.

    `now` and `ends` are on the monotonic clock; `ends` is None where there is no deadline. `stopped` says why
    it was stopped, as the type and message of its error. It is also what runs, for code that asks, once a
    runner has put its `callbacks` in, and its `telemetry`, which takes the events of its node.
    """

    __slots__ = (
        "_session",
        "call",
        "callbacks",
        "correlation_id",
        "credits",
        "ends",
        "entry",
        "limit_ms",
        "outputs",
        "place",
        "sensitive",
        "sequence",
        "stopped",
        "task",
        "telemetry",
        "timer",
    )

    def __init__(self, call: Call, entry: Entry, now: float) -> None:
        self.call = call
        self.limit_ms = call.deadline_ms
        self.sensitive = entry.thread_sensitive
        self.correlation_id = ""
        if call.metadata:
            self._read_metadata(call.metadata)
        self.sequence = call.sequence
        self.entry = entry
        self.ends = now + self.limit_ms / 1000 if self.limit_ms else None
        self.place = WAITING
        self.credits: SyncCredits | AsyncCredits | None = None
        self.stopped: tuple[str, str] | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.callbacks: Callbacks
        self.telemetry: Telemetry | None = None
        self._session: Session | None = None
        # Made by the first print.
        self.outputs: Outputs | None = None

    @property
    def session(self) -> Session:
        """The caller's; made by the first look."""
        if self._session is None:
            self._session = self.callbacks.session(self)
        return self._session

    def write(self, stream: Stream, text: str) -> None:
        """Keep and log what was printed; from any thread."""
        outputs = self.outputs
        if outputs is None:
            with _MAKING:
                outputs = self.outputs
                if outputs is None:
                    outputs = self.outputs = Outputs(self.call.tool, self.call.call_id)
        outputs.write(stream, text)

    def _read_metadata(self, metadata: Mapping[str, str]) -> None:
        """What a caller may ask of one call: `timeout_ms` and `thread_sensitive`, as in Snakepit."""
        asked = metadata.get(TIMEOUT_MS, "")
        if asked.isascii() and asked.isdigit() and len(asked) <= _DIGITS_MAX and int(asked):
            self.limit_ms = min(self.limit_ms or int(asked), int(asked))
        if metadata.get(THREAD_SENSITIVE, "").lower() in ("1", "true"):
            self.sensitive = True
        self.correlation_id = metadata.get(CORRELATION_ID, "")


_MAKING: Final = threading.Lock()


class SyncCredits:
    """How many chunks a generator on a thread may still send. `add` and `stop` come from the loop."""

    def __init__(self, credits: int) -> None:
        self._left = threading.Semaphore(credits)
        self._stopped = False

    def take(self) -> bool:
        """Wait for a credit; False where the stream was stopped."""
        self._left.acquire()
        return not self._stopped

    def add(self, credits: int) -> None:
        """The node has room for this many more."""
        if credits > 0:
            self._left.release(credits)

    def stop(self) -> None:
        """Wake the generator to its end."""
        self._stopped = True
        self._left.release()


class AsyncCredits:
    """The same for a task, where a cancelled one needs no waking. `add` may come from any thread."""

    def __init__(self, credits: int, tools: ToolLoop) -> None:
        self._left = asyncio.Semaphore(credits)
        self._tools = tools

    async def take(self) -> None:
        """Wait for a credit; on the tools' loop."""
        await self._left.acquire()

    def add(self, credits: int) -> None:
        """The node has room for this many more."""
        self._tools.post(self._add, credits)

    def stop(self) -> None:
        """Nothing to do: the task is cancelled."""

    def _add(self, credits: int) -> None:
        for _ in range(credits):
            self._left.release()


class Callbacks:
    """State callbacks to the node: one channel for the process, opened at the first use."""

    def __init__(self, target: str, message_bytes_max: int) -> None:
        self._endpoints = Endpoints((target,), message_bytes_max=message_bytes_max)

    def session(self, job: Job) -> Session:
        """The caller's session; costs nothing until it is used."""
        return Session(self.transport(job), job.call.session_id)

    def close(self) -> None:
        """Close the channel; callbacks under way fail."""
        self._endpoints.close()

    def transport(self, job: Job) -> Transport:
        """Calls to the node for this job, under its token and within its deadline."""
        return _CallTransport(self._endpoints, job)


class _CallTransport:
    """Callbacks of one call, under its token and within its deadline."""

    __slots__ = ("_endpoints", "_job")

    def __init__(self, endpoints: Endpoints, job: Job) -> None:
        self._endpoints = endpoints
        self._job = job

    def unary(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """Ask the node, within what is left of the call's time."""
        return self._endpoints.unary(
            method, request, timeout_s=self._left(timeout_s), metadata=self._metadata()
        )

    def stream(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> Iterator[A]:
        """Ask the node, and read on within what is left of the call's time."""
        return self._endpoints.stream(
            method, request, timeout_s=self._left(timeout_s), metadata=self._metadata()
        )

    def _metadata(self) -> Metadata:
        job = self._job
        token = job.call.call_token
        sent: Metadata = ((CALL_TOKEN, token),) if token else ()
        # In a header goes what is text on one line.
        name = job.correlation_id
        if name and name.isascii() and name.isprintable() and len(name) <= _CORRELATION_CHARS_MAX:
            sent = (*sent, (CORRELATION_HEADER, name))
        return (*sent, *_trace.of(job.call.metadata))

    def _left(self, timeout_s: float | None) -> float:
        limit = TIMEOUT_S if timeout_s is None else timeout_s
        if self._job.ends is None:
            return limit
        return max(0.001, min(limit, self._job.ends - time.monotonic()))
