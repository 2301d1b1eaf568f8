"""Async tools on their loop: so many at once, each in a task, without the connection's loop in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from snakepit._proto.worker_v1_pb2 import Result
from snakepit.worker import _outcome
from snakepit.worker._gate import Gate
from snakepit.worker._job import Job
from snakepit.worker._outbox import BATCH_MAX, Outbox
from snakepit.worker._tool_loop import ToolLoop

# Waking the connection's loop costs more than a quick call, so results wait so long for others.
_KEPT_S: Final = 0.001


class AsyncSlots:
    """Takes jobs from any thread, in order; everything else is for the tools' loop.

    `claim` says whether a job is still to be run.
    """

    def __init__(
        self,
        tools: ToolLoop,
        outbox: Outbox,
        *,
        slots: int,
        claim: Callable[[Job], bool],
        run: Callable[[Job], Coroutine[Any, Any, Result]],
        gate: Gate | None = None,
    ) -> None:
        self._gate = gate
        self._tools = tools
        self._outbox = outbox
        self._slots = slots
        self._claim = claim
        self._run = run
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._kept = 0
        self._waking: asyncio.TimerHandle | None = None

    def put(self, job: Job) -> None:
        """Run a job when a slot is free; from any thread."""
        self._tools.post(self._take, job)

    def cancel(self, job: Job) -> None:
        """Cancel a job that runs, whose `stopped` says why; from any thread."""
        self._tools.post(_cancel, job)

    def _take(self, job: Job) -> None:
        self._waiting.append(job)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._running < self._slots:
            job = self._waiting.popleft()
            if self._gate is not None and not self._gate.take_now():
                self._running += 1
                asyncio.get_running_loop().create_task(self._wait(job, self._gate), name=job.call.tool)
            elif self._claim(job):
                self._running += 1
                asyncio.get_running_loop().create_task(self._serve(job), name=job.call.tool)
            elif self._gate is not None:
                self._gate.give()

    async def _wait(self, job: Job, gate: Gate) -> None:
        """Not claimed while it waits, so that a cancel spares it."""
        await gate.take_async()
        if self._claim(job):
            await self._serve(job)
            return
        gate.give()
        self._running -= 1
        self._fill()

    async def _serve(self, job: Job) -> None:
        if job.stopped is not None:
            result = _outcome.of_failure(job.sequence, *job.stopped)
        else:
            # From here on it can be cancelled and still answers.
            job.task = asyncio.current_task()
            result = await self._run(job)
        if self._gate is not None:
            self._gate.give()
        self._running -= 1
        self._keep(result)
        self._fill()

    def _keep(self, result: Result) -> None:
        self._outbox.keep(result)
        self._kept += 1
        if not self._waiting or self._kept >= BATCH_MAX:
            self._wake()
        elif self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(_KEPT_S, self._wake)

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self._kept = 0
        self._outbox.wake()


def _cancel(job: Job) -> None:
    # One that has not begun sees `stopped` by itself.
    if job.task is not None:
        job.task.cancel()
