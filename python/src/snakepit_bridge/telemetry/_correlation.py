"""The correlation id of what runs here; every thread and every task has its own."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Final

_current: Final[ContextVar[str]] = ContextVar("snakepit_correlation_id", default="")


def get_correlation_id() -> str:
    """That of the request that runs here; empty where none does."""
    return _current.get()


def set_correlation_id(correlation_id: str) -> Token[str]:
    """Set it; the token takes it back."""
    return _current.set(correlation_id)


def reset_correlation_id(token: Token[str]) -> None:
    """Take back what `set_correlation_id` did."""
    _current.reset(token)


def new_correlation_id() -> str:
    """One that nobody else has."""
    return uuid.uuid4().hex


@contextlib.contextmanager
def correlation(correlation_id: str = "") -> Iterator[str]:
    """Run a block under an id, a new one where none is given."""
    chosen = correlation_id or new_correlation_id()
    token = set_correlation_id(chosen)
    try:
        yield chosen
    finally:
        reset_correlation_id(token)
