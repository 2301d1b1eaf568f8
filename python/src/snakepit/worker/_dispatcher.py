"""Which call runs when: slots, credits, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from snakepit._proto.worker_v1_pb2 import Call, Result, ToWorker
from snakepit.errors import NotFound
from snakepit.worker import _outcome
from snakepit.worker._async_slots import AsyncSlots
from snakepit.worker._frames import FrameStream
from snakepit.worker._gate import Gate
from snakepit.worker._host import Host
from snakepit.worker._job import (
    APART,
    CHUNK_CREDITS_DEFAULT,
    ON_LOOP,
    ON_SLOTS,
    AsyncCredits,
    Job,
    SyncCredits,
)
from snakepit.worker._lead import Lead
from snakepit.worker._outbox import Outbox
from snakepit.worker._output import logger
from snakepit.worker._runner import Runner
from snakepit.worker._settings import Concurrency
from snakepit.worker._slots import Slots
from snakepit.worker._tool_loop import ToolLoop

DEADLINE: Final = "DeadlineExceeded"
CANCELLED: Final = "Cancelled"
_SWEEP_MIN_S: Final = 0.002
_SWEEP_MAX_S: Final = 0.05
_CHECK_LEAD_S: Final = 0.005


class Dispatcher:
    """Holds every call that the node has outstanding here. All methods are for the connection's loop.

    Sync tools run on `slots` threads that take from one queue, so that a thread goes from call to call
    without this loop; so does the loop of async tools while nothing else runs. Thread-sensitive tools have a
    thread apart. While calls of several kinds run or are next, this loop hands out the slots one by one. With
    `asyncio`, the slots are those of async tools, and sync ones have one thread beside them. A `gate` holds
    slots that several dispatchers share: a call waits there before it begins. The thread of a single slot
    may `Lead`, and then does what else the loop does, under the lock.
    """

    def __init__(
        self,
        host: Host,
        tools: ToolLoop,
        *,
        slots: int,
        credits: int,
        thread_sensitive: bool,
        concurrency: Concurrency | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._host = host
        self._gate = gate
        self._tools = tools
        self._credits = credits
        self._slots = slots
        self._sync_beside = concurrency == "asyncio"
        self._threads = 1 if self._sync_beside else slots
        self._all_sensitive = thread_sensitive and self._threads > 1
        # Calls given to the slots' threads, to the loop of async tools, and to the thread of sensitive ones.
        self._on_slots = 0
        self._on_loop = 0
        self._apart = 0
        # Around what changes these tables, for whoever reads the stream.
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        # Claimed by whoever takes a job out: a thread that starts it, or a cancel that spares it.
        self._unstarted: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._sync: Slots
        self._sensitive: Slots | None = None
        self._async: AsyncSlots
        self._lead: Lead | None = None
        self._checking: asyncio.TimerHandle | None = None
        self._outbox: Outbox
        self._runner: Runner
        self._chunk_credits = CHUNK_CREDITS_DEFAULT
        self._draining = False
        self._idle = asyncio.Event()
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep_s = _SWEEP_MIN_S

    def start(self, runner: Runner, outbox: Outbox, *, chunk_credits: int) -> None:
        """Start the threads; `chunk_credits` is what a stream may have unacknowledged."""
        self._runner = runner
        self._outbox = outbox
        self._chunk_credits = chunk_credits or CHUNK_CREDITS_DEFAULT
        self._async = AsyncSlots(
            self._tools, outbox, slots=self._slots, claim=self._claim, run=runner.run_async, gate=self._gate
        )
        if self._slots == 1 and self._gate is None and not self._sync_beside:
            self._lead = Lead(
                self._lock,
                outbox,
                plain=self._is_plain,
                accept=self._accept_on_thread,
                watch=self._check_lead,
            )
        self._sync = Slots(
            [f"snakepit-slot-{number}" for number in range(self._threads)],
            outbox,
            claim=self._claim,
            run=self._run,
            gate=self._gate,
            lead=self._lead,
        )

    def attach(self, stream: FrameStream | None) -> None:
        """The stream that calls come from, where a thread could read it too; None once it has ended."""
        if self._lead is not None:
            self._take_back()
            self._lead.attach(stream)

    @property
    def running(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._jobs) - len(self._unstarted)

    def accept(self, calls: Iterable[Call]) -> None:
        """Take calls from the node; those that cannot run are answered with an error."""
        with self._lock:
            self._accept(calls)
            if self._on_slots or self._on_loop:
                self._watch_kept()

    def _accept(self, calls: Iterable[Call]) -> None:
        now = time.monotonic()
        for call in calls:
            job = self._admit(call, now)
            if job is None:
                continue
            self._unstarted[job.sequence] = job
            if self._sync_beside and not job.entry.is_async:
                self._put_on_slots(job)
            else:
                self._waiting.append(job)
        self._start_waiting()

    def _admit(self, call: Call, now: float) -> Job | None:
        """A call as a job of ours; None where it is answered with an error, or not to be answered."""
        if self._draining:
            # Unanswered at the goodbye means: never begun.
            return None
        if len(self._jobs) >= self._credits:
            refusal = f"the node sent more than the {self._credits} calls it has credits for"
            self._outbox.post(_outcome.of_failure(call.sequence, "Exhausted", refusal))
            return None
        if call.sequence in self._jobs:
            logger.error("the node used sequence %d again while its call runs; dropped", call.sequence)
            return None
        try:
            entry = self._host.find(call.tool)
        except NotFound as error:
            self._outbox.post(_outcome.of_failure(call.sequence, "ToolNotFound", f"{error}; {error.hint}"))
            return None
        job = Job(call, entry, now)
        self._jobs[job.sequence] = job
        if call.stream:
            job.credits = (
                AsyncCredits(self._chunk_credits, self._tools)
                if entry.is_async
                else SyncCredits(self._chunk_credits)
            )
        return job

    def cancel(self, sequences: Iterable[int], reason: str) -> None:
        """Drop calls that have not begun, cancel async ones and end streams; other sync tools run on."""
        for sequence in sequences:
            self._stop(sequence, CANCELLED, reason or "cancelled")

    def add_chunk_credits(self, sequence: int, credits: int) -> None:
        """The node took chunks of a stream and has room for more."""
        job = self._jobs.get(sequence)
        if job is not None and job.credits is not None:
            job.credits.add(credits)

    def finished(self, sequence: int) -> None:
        """A call's result is on its way; its slot is free."""
        with self._lock:
            job = self._jobs.pop(sequence, None)
            if job is None:
                return
            if job.timer is not None:
                job.timer.cancel()
            if job.place == ON_SLOTS:
                self._on_slots -= 1
            elif job.place == ON_LOOP:
                self._on_loop -= 1
            elif job.place == APART:
                self._apart -= 1
            if self._waiting:
                self._start_waiting()
                self._watch_kept()
            if self._draining and not self._jobs:
                self._idle.set()
            if self._lead is not None and self._lead.wanted:
                self._lend(self._lead)

    def held(self) -> list[int]:
        """The calls that are here and not answered."""
        return list(self._jobs)

    def give_up(self, sequences: Iterable[int]) -> None:
        """Stop calls whose results nobody will take."""
        for sequence in sequences:
            self._stop(sequence, CANCELLED, "the stream to the node broke")

    def close(self) -> None:
        """Let the threads end, each after the call that it runs; what is here is given up."""
        self._draining = True
        self.give_up(self.held())
        self._sync.close()
        if self._sensitive is not None:
            self._sensitive.close()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def take_no_more(self) -> None:
        """Leave calls unanswered that come from now on."""
        self._draining = True
        self._take_back()

    async def drain(self) -> None:
        """Take no more calls, and return when those that are here have ended."""
        self.take_no_more()
        if self._jobs:
            await self._idle.wait()

    def _start_waiting(self) -> None:
        """Start what waits, in order, as far as slots are free."""
        while self._waiting:
            job = self._waiting[0]
            if job.sequence not in self._unstarted:
                self._waiting.popleft()
                continue
            sensitive = self._threads > 1 and (self._all_sensitive or job.sensitive)
            if not self._may_start(job, sensitive=sensitive):
                break
            self._waiting.popleft()
            if job.entry.is_async:
                self._put_on_loop(job)
            elif sensitive:
                job.place = APART
                self._apart += 1
                self._sensitive_slot().put(job)
            else:
                self._put_on_slots(job)

    def _may_start(self, job: Job, *, sensitive: bool) -> bool:
        """Whether a slot is free, or whoever takes the job keeps to the number of slots by itself."""
        if not job.entry.is_async and not sensitive and not self._apart and not self._on_loop:
            return True
        others = 0 if self._sync_beside else self._on_slots + self._apart
        return others + self._on_loop < self._slots or (job.entry.is_async and not others)

    def _claim(self, job: Job) -> bool:
        """Take a job that is to begin; False where a cancel was faster. From any thread."""
        return self._unstarted.pop(job.sequence, None) is not None

    def _put_on_slots(self, job: Job) -> None:
        job.place = ON_SLOTS
        self._on_slots += 1
        self._sync.put(job)

    def _put_on_loop(self, job: Job) -> None:
        job.place = ON_LOOP
        self._on_loop += 1
        if job.ends is not None:
            left = job.ends - time.monotonic()
            job.timer = asyncio.get_running_loop().call_later(
                max(0.0, left), self._stop, job.sequence, DEADLINE, _late(job)
            )
        self._async.put(job)

    def _stop(self, sequence: int, kind: str, reason: str) -> None:
        job = self._jobs.get(sequence)
        if job is None:
            return
        if self._unstarted.pop(sequence, None) is not None:
            self._outbox.post(_outcome.of_failure(sequence, kind, reason))
            return
        if job.entry.is_async:
            job.stopped = job.stopped or (kind, reason)
            self._async.cancel(job)
        elif job.credits is not None:
            job.stopped = (kind, reason)
            job.credits.stop()

    def _sensitive_slot(self) -> Slots:
        if self._sensitive is None:
            self._sensitive = Slots(
                ["snakepit-sensitive"], self._outbox, claim=self._claim, run=self._run, gate=self._gate
            )
        return self._sensitive

    def _run(self, job: Job) -> Result:
        if job.ends is not None and time.monotonic() >= job.ends:
            return _outcome.of_failure(job.sequence, DEADLINE, _late(job))
        return self._runner.run(job)

    def _watch_kept(self) -> None:
        """Begin to sweep, or sweep often again."""
        self._sweep_s = _SWEEP_MIN_S
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    def _sweep(self) -> None:
        """Collect results that a thread keeps while its next call takes longer than it used to."""
        self._sweeping = None
        if self._lead is not None and self._lead.lent:
            return
        self._outbox.collect()
        if self._jobs:
            self._sweep_s = min(_SWEEP_MAX_S, self._sweep_s * 2)
            self._sweeping = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    # --- a thread that leads ---

    def _lend(self, lead: Lead) -> None:
        """Let the thread read the stream, where nothing needs the loop."""
        if not (self._waiting or self._on_loop or self._draining) and lead.lend():
            self._sync.put(lead)
            self._check_lead()

    def _take_back(self) -> None:
        if self._lead is not None:
            self._lead.take_back()
            self._outbox.collect()

    def _check_lead(self) -> None:
        """See now and then that the thread comes on while it has calls."""
        assert self._lead is not None  # noqa: S101
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        if self._lead.check(busy=bool(self._jobs)):
            self._checking = asyncio.get_running_loop().call_later(_CHECK_LEAD_S, self._check_lead)
        elif self._jobs and not self._lead.lent:
            self._outbox.collect()
            self._watch_kept()

    def _is_plain(self, call: Call) -> bool:
        if call.stream:
            return False
        try:
            return not self._host.find(call.tool).is_async
        except NotFound:
            return False

    def _accept_on_thread(self, message: ToWorker, idle: bool) -> Job | None:
        """Take calls for the thread that leads; one that comes alone to an idle one it runs at once."""
        calls = message.calls.calls
        if not idle or len(calls) != 1:
            self._accept(calls)
            return None
        job = self._admit(calls[0], time.monotonic())
        if job is not None:
            job.place = ON_SLOTS
            self._on_slots += 1
        return job


def _late(job: Job) -> str:
    return f"the call's deadline, {job.limit_ms} ms, is over"
