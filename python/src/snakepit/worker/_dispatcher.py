"""Which call runs when: slots, credits, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Final

from snakepit._proto.worker_v1_pb2 import Call, Result
from snakepit.errors import NotFound
from snakepit.worker import _outcome
from snakepit.worker._async_slots import AsyncSlots
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
from snakepit.worker._outbox import BATCH_MAX, Outbox
from snakepit.worker._output import logger
from snakepit.worker._runner import Runner
from snakepit.worker._settings import Concurrency
from snakepit.worker._tool_loop import ToolLoop

DEADLINE: Final = "DeadlineExceeded"
CANCELLED: Final = "Cancelled"
# A tool that usually takes less may run before the results in front of it have gone out.
QUICK_NS: Final = 100_000
_SLOW_NS: Final = 10 * QUICK_NS
_TOOLS_MAX: Final = 1024
_SWEEP_MIN_S: Final = 0.002
_SWEEP_MAX_S: Final = 0.05


class Dispatcher:
    """Holds every call that the node has outstanding here. All methods are for the connection's loop.

    Sync tools run on `slots` threads that take from one queue, so that a thread goes from call to call
    without this loop; so does the loop of async tools while nothing else runs. Thread-sensitive tools have a
    thread apart. While calls of several kinds run or are next, this loop hands out the slots one by one. With
    `asyncio`, the slots are those of async tools, and sync ones have one thread beside them. A `gate` holds
    slots that several dispatchers share: a call waits there before it begins.
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
        self._jobs: dict[int, Job] = {}
        # Claimed by whoever takes a job out: a thread that starts it, or a cancel that spares it.
        self._unstarted: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        # None ends the thread that takes it.
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._sensitive: SimpleQueue[Job | None] | None = None
        self._async: AsyncSlots
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
        for number in range(self._threads):
            self._start_thread(f"snakepit-slot-{number}", self._queue)

    @property
    def running(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._jobs) - len(self._unstarted)

    def accept(self, calls: Iterable[Call]) -> None:
        """Take calls from the node; those that cannot run are answered with an error."""
        now = time.monotonic()
        for call in calls:
            if self._draining:
                # Unanswered at the goodbye means: never begun.
                continue
            if len(self._jobs) >= self._credits:
                refusal = f"the node sent more than the {self._credits} calls it has credits for"
                self._outbox.post(_outcome.of_failure(call.sequence, "Exhausted", refusal))
                continue
            if call.sequence in self._jobs:
                logger.error("the node used sequence %d again while its call runs; dropped", call.sequence)
                continue
            try:
                entry = self._host.find(call.tool)
            except NotFound as error:
                self._outbox.post(
                    _outcome.of_failure(call.sequence, "ToolNotFound", f"{error}; {error.hint}")
                )
                continue
            job = Job(call, entry, now)
            self._jobs[job.sequence] = job
            self._unstarted[job.sequence] = job
            if call.stream and entry.is_async:
                job.credits = AsyncCredits(self._chunk_credits, self._tools)
            elif call.stream:
                job.credits = SyncCredits(self._chunk_credits)
            if self._sync_beside and not entry.is_async:
                self._put_on_slots(job)
            else:
                self._waiting.append(job)
        self._pump()

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
            self._pump()
        if self._draining and not self._jobs:
            self._idle.set()

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
        for _ in range(self._threads):
            self._queue.put(None)
        if self._sensitive is not None:
            self._sensitive.put(None)
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def drain(self) -> None:
        """Take no more calls, and return when those that are here have ended."""
        self._draining = True
        if self._jobs:
            await self._idle.wait()

    def _pump(self) -> None:
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
                self._sensitive_queue().put(job)
            else:
                self._put_on_slots(job)
        if self._on_slots or self._on_loop:
            self._watch_kept()

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
        self._queue.put(job)

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

    def _sensitive_queue(self) -> SimpleQueue[Job | None]:
        if self._sensitive is None:
            self._sensitive = SimpleQueue()
            self._start_thread("snakepit-sensitive", self._sensitive)
        return self._sensitive

    def _start_thread(self, name: str, queue: SimpleQueue[Job | None]) -> None:
        threading.Thread(target=self._serve, args=(queue,), name=name, daemon=True).start()

    def _serve(self, queue: SimpleQueue[Job | None]) -> None:
        """A slot: runs what comes, until it is told to end.

        Waking the loop costs more than a quick call. So results of calls whose successor in the queue is of
        a tool known to be quick go out together; `_sweep` bounds the wait where that guess is wrong.
        """
        usual_ns: dict[str, int] = {}
        kept = 0
        while True:
            if kept:
                try:
                    job = queue.get_nowait()
                except Empty:
                    self._outbox.wake()
                    kept = 0
                    job = queue.get()
            else:
                job = queue.get()
            if job is None:
                self._outbox.wake()
                return
            if self._gate is not None and not self._gate.take_now():
                self._outbox.wake()
                kept = 0
                self._gate.take()
            if not self._claim(job):
                self._give_gate()
                continue
            tool = job.call.tool
            usual = usual_ns.get(tool, _SLOW_NS)
            if kept and (kept >= BATCH_MAX or usual > QUICK_NS):
                self._outbox.wake()
                kept = 0
            began = time.perf_counter_ns()
            self._outbox.keep(self._run(job))
            self._give_gate()
            kept += 1
            # Grows slowly: one measure may hold a wait for the interpreter.
            usual_ns[tool] = min(usual + usual // 4, time.perf_counter_ns() - began)
            if len(usual_ns) > _TOOLS_MAX:
                usual_ns.clear()

    def _give_gate(self) -> None:
        if self._gate is not None:
            self._gate.give()

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
        self._outbox.collect()
        self._sweeping = None
        if self._jobs:
            self._sweep_s = min(_SWEEP_MAX_S, self._sweep_s * 2)
            self._sweeping = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)


def _late(job: Job) -> str:
    return f"the call's deadline, {job.limit_ms} ms, is over"
