"""Events on their way to the node: those of tools, and the runtime's own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from snakepit import _events
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto.worker_v1_pb2 import FromWorker, Result
from snakepit._proto.worker_v1_pb2 import Telemetry as Message
from snakepit.worker._job import Job

WAITING_MAX: Final = 1024
_BATCH_MAX: Final = 128
_EXECUTION: Final = "python.tool.execution"
_MEMORY: Final = "python.memory.sampled"


class Telemetry:
    """A bounded queue of events. Nothing goes in until the node has toggled telemetry on."""

    def __init__(self) -> None:
        # Looked at before and after every call.
        self.on = False
        self._controls = _events.Controls(enabled=False)
        self._waiting: deque[pb.TelemetryEvent] = deque()
        self._lock = threading.Lock()
        self._dropped = 0
        self._told = 0
        self._wake: Callable[[], None] = _nothing

    def wake_with(self, wake: Callable[[], None]) -> None:
        """What is called, from any thread, when there is something to send."""
        self._wake = wake

    def apply(self, control: pb.TelemetryControl) -> None:
        """Toggle, sample or filter, as the node says."""
        self._controls.apply(control)
        self.on = self._controls.enabled

    def wants(self, name: str) -> bool:
        """Whether the node wants events of this name."""
        return self._controls.wants(name)

    def take(self, event: pb.TelemetryEvent) -> None:
        """Send one; from any thread. Dropped where WAITING_MAX wait."""
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                self._dropped += 1
                return
            self._waiting.append(event)
        self._wake()

    def begin(self) -> None:
        """A stream begins: nothing was dropped since."""
        with self._lock:
            self._dropped = self._told = 0

    def message(self) -> FromWorker | None:
        """The next message to the node, where there is anything to say."""
        if not self._waiting and self._dropped == self._told:
            return None
        with self._lock:
            count = min(_BATCH_MAX, len(self._waiting))
            events = [self._waiting.popleft() for _ in range(count)]
            self._told = self._dropped
        return FromWorker(telemetry=Message(events=events, dropped=self._told))

    # --- the runtime's own ---

    def begun(self, job: Job) -> None:
        """A call begins."""
        self._send(job, "start", {"system_time": time.time_ns()}, {})

    def ended(self, job: Job, result: Result, began_ns: int) -> None:
        """A call has ended, with a value or an error."""
        took = {"duration": time.perf_counter_ns() - began_ns}
        if result.success:
            self._send(job, "stop", took, {})
        else:
            self._send(job, "exception", took, {"error_type": result.error.type})

    def memory(self, rss_bytes: int) -> None:
        """What the process takes, with each heartbeat."""
        if self.on and self.wants(_MEMORY):
            self.take(_events.event(_MEMORY, {"rss_bytes": rss_bytes}, None, ""))

    def _send(self, job: Job, what: str, measurements: dict[str, int], more: dict[str, str]) -> None:
        name = f"{_EXECUTION}.{what}"
        if self.wants(name):
            about = {"tool": job.call.tool, "call_id": job.call.call_id, **more}
            if job.call.session_id:
                about["session_id"] = job.call.session_id
            self.take(_events.event(name, measurements, about, job.correlation_id))


def _nothing() -> None:
    pass
