"""Tools that may run in several threads at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter_threaded import ThreadSafeAdapter, thread_safe_method, tool

_counted_lock: Final = threading.Lock()


class ThreadedShowcaseAdapter(ThreadSafeAdapter):
    """What its instances share is under a lock; the rest belongs to one request."""

    _counted: ClassVar[Counter[str]] = Counter()

    @tool(description="Hold a thread for some milliseconds")
    @thread_safe_method
    def compute(self, ms: float = 10.0) -> dict[str, Any]:
        """Which thread it was."""
        time.sleep(ms / 1000)
        name = threading.current_thread().name
        with _counted_lock:
            self._counted[name] += 1
        return {"ms": ms, "thread": name}

    @tool(description="How many computations each thread has run")
    @thread_safe_method
    def stats(self) -> dict[str, int]:
        """Of this process."""
        with _counted_lock:
            return dict(self._counted)

    @tool(description="Tell of progress", supports_streaming=True)
    @thread_safe_method
    def progress(self, steps: int = 3) -> Iterator[StreamChunk]:
        """Step by step."""
        for step in range(1, steps + 1):
            yield StreamChunk({"step": step}, is_final=step == steps)
