"""Calls as values: what to ask, and how to read the answer. Nothing here sends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage

from snakepit import _methods, _status
from snakepit._codec import Codec
from snakepit._methods import A, Metadata, Method, Q
from snakepit.errors import Invalid

R = TypeVar("R")
T = TypeVar("T")

DEFAULT: Final = Codec()
CONSISTENCIES: Final = ("linearizable", "lease", "stale")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One request, and the function from its answer to a result."""

    method: Method[Any, Any]
    request: Any
    read: Callable[[Any], R]


@dataclass(frozen=True, slots=True)
class Apply:
    """A caller's function to run between two calls; on the async surface it may be a coroutine's."""

    function: Callable[[Any], Any]
    argument: Any


# Several calls: yields what is to be done, is sent what came of it, or thrown the error; returns the result.
Steps = Generator[Call[Any] | Apply, Any, R]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `following` asks for the next, None where it was the last."""

    items: list[T]
    following: Call[Page[T]] | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What the calls of one session have in common. Without an id: those of the cluster."""

    session_id: str = ""
    codec: Codec = DEFAULT
    metadata: Metadata = ()

    @property
    def id(self) -> str:
        """The session's id. Raises Invalid where there is none."""
        if not self.session_id:
            raise Invalid("this call names no session, so it has no variables", hint="call with a session")
        return self.session_id

    def at(self, metadata: Metadata) -> Scope:
        """The same, with more metadata on each request."""
        return replace(self, metadata=(*self.metadata, *metadata)) if metadata else self

    def call(self, method: Method[Q, A], request: Q, read: Callable[[A], R]) -> Call[R]:
        """A call, with this scope's metadata."""
        if self.metadata:
            method = replace(method, metadata=(*method.metadata, *self.metadata))
        return Call(method, request, read)

    def value(self, value: AnyMessage, binary: bytes) -> Any:
        """A value in an answer."""
        return self.codec.decode(value, binary or None)


def consistency(level: str) -> Metadata:
    """The metadata that asks for less than linearizable reads; none where empty."""
    if level and level not in CONSISTENCIES:
        raise Invalid(f"consistency {level!r} is not known; use one of {', '.join(CONSISTENCIES)}")
    return ((_methods.CONSISTENCY, level),) if level else ()


def accepted(answer: Any) -> Any:
    """The answer, where it says success. Raises what its text says otherwise."""
    if not answer.success:
        raise _status.from_refusal(answer.error_message)
    return answer


def texts(metadata: Mapping[str, str] | None) -> Mapping[str, str]:
    """Metadata for a request."""
    return metadata or {}
