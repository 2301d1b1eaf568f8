"""The stream in the hands of the thread that runs the calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Final

from snakepit._proto.worker_v1_pb2 import Call, ToWorker
from snakepit.worker._frames import FrameStream
from snakepit.worker._job import Job
from snakepit.worker._outbox import Outbox

# A tool that usually takes longer is not run while nobody reads the stream.
LEAD_NS: Final = 1_000_000


class Lead:
    """Who reads the stream of a worker with one slot: the loop, or the slot's thread.

    The changes of thread, from the loop to the slot and back, are most of what a quick call costs. So while
    its tools are quick the thread reads calls and writes results itself, and the loop has only its beats. For
    anything else that comes, and before a tool that is not known to be quick, the thread gives the stream
    back; where a tool takes longer than it used to, the loop takes it back (`check`), and so hears of cancels
    and drains. Tools never change their thread.

    `lock` guards the dispatcher's tables, which the reader changes. `accept` takes calls into them, under
    it; a single one it may return, for the thread to run it at once. `plain` says whether a call could also
    run with nobody on the loop.
    """

    def __init__(
        self,
        lock: threading.RLock,
        outbox: Outbox,
        *,
        plain: Callable[[Call], bool],
        accept: Callable[[ToWorker, bool], Job | None],
        watch: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = lock
        self._outbox = outbox
        self._plain = plain
        self._accept = accept
        self._watch = watch
        self._stream: FrameStream | None = None
        self._lent = False
        # Of the thread: how many calls it has run, and whether the last ones were quick.
        self.progress = 0
        self.wanted = False
        # Whether the loop looks at that, and what it saw last.
        self._watched = False
        self._seen = -1
        self._seen_busy = False

    @property
    def lent(self) -> bool:
        """Whether the thread reads."""
        return self._lent

    # --- on the loop ---

    def attach(self, stream: FrameStream | None) -> None:
        """The stream that calls come from now; None where it has ended."""
        self.take_back()
        self._stream = stream

    def lend(self) -> bool:
        """Let the thread read, if there is a stream; the caller has it look."""
        if self._lent or self._stream is None or self._stream.ended or self._stream.messages:
            return False
        self._stream.pause_reading()
        with self._lock:
            self._lent = True
            self._watched = True
            self._seen, self._seen_busy = -1, False
        return True

    def take_back(self) -> None:
        """Have the loop read again, at once."""
        with self._lock:
            lent, self._lent = self._lent, False
        if lent and self._stream is not None:
            self._stream.interrupt()
            self._stream.resume_reading()

    def check(self, *, busy: bool) -> bool:
        """Whether to check again soon; takes the stream back from a thread that has not come on since."""
        with self._lock:
            if not self._lent:
                return False
            same = busy == self._seen_busy and self._seen == self.progress
            self._seen, self._seen_busy = self.progress, busy
            if same and not busy:
                # Nothing has come, and the thread will say when that is over.
                self._watched = False
        if same and busy:
            self.take_back()
        return not same

    # --- on the thread ---

    def read(self, usual_ns: Mapping[str, int]) -> Job | bool:
        """Wait for calls and take them; False where the loop reads, now or again. A job is to be run now."""
        stream = self._stream if self._lent else None
        if stream is None:
            return False
        stream.wait()
        job: Job | None = None
        with self._lock:
            if not self._lent:
                return False
            stream.receive()
            messages = stream.messages
            while messages and self._is_simple(messages[0], usual_ns):
                job = self._accept(messages.popleft(), job is None) or job
            if messages or stream.ended:
                self._lent = False
                self._loop.call_soon_threadsafe(stream.resume_reading)
            elif not self._watched:
                self._watched = True
                self._loop.call_soon_threadsafe(self._watch)
        return job or True

    def write(self) -> bool:
        """Send the results that were kept; False where the loop has to."""
        with self._lock:
            if not self._lent or self._stream is None:
                return False
            return self._outbox.write_now(self._stream.send)

    def _is_simple(self, message: ToWorker, usual_ns: Mapping[str, int]) -> bool:
        kind = message.WhichOneof("message")
        if kind == "calls":
            for call in message.calls.calls:
                if usual_ns.get(call.tool, LEAD_NS) >= LEAD_NS or not self._plain(call):
                    return False
            return True
        return kind == "heartbeat_ack"
