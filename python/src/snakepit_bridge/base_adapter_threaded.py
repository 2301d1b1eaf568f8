"""Adapters whose instances are used from several threads."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from snakepit_bridge.base_adapter import BaseAdapter, tool

__all__ = ["ThreadSafeAdapter", "require_thread_safe", "thread_safe_method", "tool", "validate_thread_safety"]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


class ThreadSafeAdapter(BaseAdapter):
    """An adapter that says so: `__thread_safe__`. It has a lock, and values of each thread."""

    __thread_safe__: ClassVar[bool] = True

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._local = threading.local()

    @contextlib.contextmanager
    def acquire_lock(self) -> Iterator[None]:
        """Hold the instance's lock, which one thread may hold several times."""
        with self._lock:
            yield

    def get_thread_local(self, key: str, default: Any = None) -> Any:
        """The value of this thread."""
        return self._local.__dict__.get(key, default)

    def set_thread_local(self, key: str, value: Any) -> None:
        """Set this thread's value."""
        self._local.__dict__[key] = value

    def clear_thread_local(self, key: str | None = None) -> None:
        """Drop this thread's value, or all of them."""
        if key is None:
            self._local.__dict__.clear()
        else:
            self._local.__dict__.pop(key, None)


def thread_safe_method(function: F) -> F:
    """Say of a method that threads may run it at once; the thread safety checker reads it."""
    function.__thread_safe__ = True  # type: ignore[attr-defined]
    return function


def locked_method(function: F) -> F:
    """Run a method of a `ThreadSafeAdapter` under its lock."""

    @functools.wraps(function)
    def run(self: ThreadSafeAdapter, *arguments: Any, **named: Any) -> Any:
        with self.acquire_lock():
            return function(self, *arguments, **named)

    return run  # type: ignore[return-value]


def require_thread_safe(adapter_class: C) -> C:
    """A class decorator. Raises TypeError where the class does not say that it is thread safe."""
    if not validate_thread_safety(adapter_class):
        raise TypeError(f"{adapter_class.__qualname__} does not declare __thread_safe__ = True")
    return adapter_class


def validate_thread_safety(adapter: Any) -> bool:
    """Whether an adapter, or its class, says that it is thread safe."""
    return getattr(adapter, "__thread_safe__", False) is True
