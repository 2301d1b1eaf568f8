"""Notices adapters that are used from several threads without saying that they may be."""

from __future__ import annotations

import functools
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from snakepit_bridge.base_adapter_threaded import validate_thread_safety

logger: Final = logging.getLogger("snakepit_bridge.thread_safety")
F = TypeVar("F", bound=Callable[..., Any])


class ThreadSafetyChecker:
    """Counts who runs what at once. Safe to share between threads."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._lock = threading.Lock()
        self._inside: dict[str, int] = defaultdict(int)
        self._warnings: dict[str, int] = defaultdict(int)

    def check_adapter(self, adapter: Any) -> list[str]:
        """What is wrong with an adapter, in words; nothing where it is declared thread safe."""
        if validate_thread_safety(adapter):
            return []
        kind = adapter if isinstance(adapter, type) else type(adapter)
        return [f"{kind.__qualname__} does not declare __thread_safe__ = True"]

    def watch(self, function: F) -> F:
        """Wrap a function: running it from two threads at once is warned of, or, if strict, an error."""
        name = getattr(function, "__qualname__", repr(function))

        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            self._enter(name, safe=getattr(function, "__thread_safe__", False))
            try:
                return function(*arguments, **named)
            finally:
                with self._lock:
                    self._inside[name] -= 1

        return run  # type: ignore[return-value]

    def report(self) -> dict[str, int]:
        """How often each function ran beside itself."""
        with self._lock:
            return dict(self._warnings)

    def _enter(self, name: str, *, safe: bool) -> None:
        with self._lock:
            beside = self._inside[name]
            if beside and not safe:
                self._warnings[name] += 1
                if self._strict:
                    raise RuntimeError(f"{name} runs in {beside + 1} threads at once")
                logger.warning("%s runs in %d threads at once", name, beside + 1)
            self._inside[name] += 1


def check_adapter(adapter: Any) -> list[str]:
    """What is wrong with an adapter, in words."""
    return ThreadSafetyChecker().check_adapter(adapter)
