"""Sync tools on threads: each takes what comes next from one queue, with no loop in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from snakepit._proto.worker_v1_pb2 import Result
from snakepit.worker._gate import Gate
from snakepit.worker._job import Job
from snakepit.worker._lead import Lead
from snakepit.worker._outbox import BATCH_MAX, Outbox

# A tool that usually takes less may run before the results in front of it have gone out.
QUICK_NS: Final = 100_000
_SLOW_NS: Final = 10 * QUICK_NS
_TOOLS_MAX: Final = 1024
# So many quick calls in a row, and their thread may read the stream.
_LEAD_AFTER: Final = 4


class Slots:
    """Threads that run jobs. `put` and `close` are for any thread.

    Waking the loop costs more than a quick call. So results of calls whose successor in the queue is of a
    tool known to be quick go out together; the dispatcher's sweep bounds the wait where that guess is wrong.
    A `lead` spares the loop altogether: the only thread reads calls and writes results itself.
    """

    def __init__(
        self,
        names: Sequence[str],
        outbox: Outbox,
        *,
        claim: Callable[[Job], bool],
        run: Callable[[Job], Result],
        gate: Gate | None = None,
        lead: Lead | None = None,
    ) -> None:
        self._outbox = outbox
        self._claim = claim
        self._run = run
        self._gate = gate
        self._lead = lead
        self._count = len(names)
        # None ends the thread that takes it; a Lead has it look at the stream.
        self._queue: SimpleQueue[Job | Lead | None] = SimpleQueue()
        for name in names:
            threading.Thread(target=self._serve, name=name, daemon=True).start()

    def put(self, job: Job | Lead) -> None:
        """Run a job when a thread is free."""
        self._queue.put(job)

    def close(self) -> None:
        """Let the threads end, each after what it runs and what is in front."""
        for _ in range(self._count):
            self._queue.put(None)

    def _serve(self) -> None:
        """One slot: runs what comes, until it is told to end."""
        usual_ns: dict[str, int] = {}
        lead = self._lead
        kept = in_a_row = 0
        while True:
            begun = False
            job: Job | Lead | None
            try:
                job = self._queue.get_nowait()
            except Empty:
                if kept:
                    self._flush()
                    kept = 0
                led = lead is not None and lead.read(usual_ns)
                if led is True:
                    continue
                begun = bool(led)
                job = led or self._queue.get()
            if job is None:
                self._outbox.wake()
                return
            if isinstance(job, Lead):
                continue
            if self._gate is not None and not self._gate.take_now():
                self._outbox.wake()
                kept = 0
                self._gate.take()
            if not begun and not self._claim(job):
                self._give_gate()
                continue
            tool = job.call.tool
            usual = usual_ns.get(tool, _SLOW_NS)
            if kept and (kept >= BATCH_MAX or usual > QUICK_NS):
                self._flush()
                kept = 0
            began = time.perf_counter_ns()
            self._outbox.keep(self._run(job))
            took = time.perf_counter_ns() - began
            self._give_gate()
            kept += 1
            # Grows slowly: one measure may hold a wait for the interpreter.
            usual_ns[tool] = min(usual + usual // 4, took)
            if len(usual_ns) > _TOOLS_MAX:
                usual_ns.clear()
            if lead is not None:
                lead.progress += 1
                in_a_row = in_a_row + 1 if took <= QUICK_NS and not job.call.stream else 0
                lead.wanted = in_a_row >= _LEAD_AFTER

    def _flush(self) -> None:
        """Let the results go out."""
        if self._lead is None or not self._lead.write():
            self._outbox.wake()

    def _give_gate(self) -> None:
        if self._gate is not None:
            self._gate.give()
