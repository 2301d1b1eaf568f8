"""Nodes tried in turn: the retries of clients, and of a worker's callbacks to its node."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Self

import grpc

from snakepit import _attempts, _methods, _status
from snakepit._attempts import ATTEMPT_TIMEOUT_S, MESSAGE_BYTES_MAX, TIMEOUT_S, Attempts, channel_options
from snakepit._methods import A, Metadata, Method, Q
from snakepit._status import failure_of
from snakepit.errors import Invalid, SnakepitError

__all__ = ["MESSAGE_BYTES_MAX", "TIMEOUT_S", "Endpoints", "Stream", "channel_options", "failure_of"]

NO_ENDPOINTS: Final = "name at least one node, for example 127.0.0.1:7001"


class Endpoints:
    """Channels to nodes, opened at first use, closed by `close`. Safe to share between threads.

    A call goes to the nodes in turn until one takes it, always under one request id. Successive calls
    begin at successive nodes where `spread` is set, else at the node that answered last.
    """

    def __init__(
        self,
        targets: Sequence[str],
        *,
        metadata: Metadata = (),
        timeout_s: float = TIMEOUT_S,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        spread: bool = False,
    ) -> None:
        if not targets:
            raise Invalid("no endpoints", hint=NO_ENDPOINTS)
        self._targets = tuple(targets)
        self._metadata = metadata
        self._timeout_s = timeout_s
        self._options = channel_options(message_bytes_max, keepalive=True)
        self._spread = spread
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._callables: dict[tuple[str, str], Callable[..., Any]] = {}
        self._first = 0
        self._closed = False

    def unary(
        self,
        method: Method[Q, A],
        request: Q,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        request_id: str = "",
    ) -> A:
        """Ask until a node answers or `timeout_s` (the constructor's where None) is over.

        Raises the error of the last answer; its `maybe_done` covers all attempts.
        """
        sent = _attempts.sent(method, self._metadata, metadata, request_id=request_id)
        budget_s = self._timeout_s if timeout_s is None else timeout_s
        attempts = Attempts(
            self._targets,
            self._begin(),
            budget_s,
            deduplicated=method.deduplicated,
            repeatable=method.repeatable,
        )
        while True:
            try:
                answer: A = self._callable(attempts.target, method)(
                    request, timeout=attempts.limit_s(), metadata=sent
                )
            except grpc.RpcError as error:
                time.sleep(attempts.failed(error))
            else:
                if not self._spread:
                    self._first = attempts.index
                return answer

    def stream(
        self,
        method: Method[Q, A],
        request: Q,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        request_id: str = "",
    ) -> Stream[A]:
        """Ask one node and give its answers; a stream that breaks is an error, never a silent repeat.

        The next request of any kind begins at another node then. An infinite `timeout_s` leaves the stream
        without an end; only the node's first sign of life is waited for no longer than for any answer.
        """
        index = self._begin()
        limit = self._timeout_s if timeout_s is None else timeout_s
        call = self._callable(self._targets[index], method, streamed=True)(
            request,
            timeout=None if math.isinf(limit) else limit,
            metadata=_attempts.sent(method, self._metadata, metadata, request_id=request_id),
        )
        return Stream(call, lambda: self._leave(index))

    def each(
        self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None
    ) -> list[A | SnakepitError]:
        """Ask every node once; what each answered, in their order."""
        sent = _attempts.sent(method, self._metadata)
        answers: list[A | SnakepitError] = []
        for target in self._targets:
            ask = self._callable(target, method)
            try:
                answers.append(ask(request, timeout=self.budget_s(timeout_s), metadata=sent))
            except grpc.RpcError as error:
                answers.append(_status.failure_of(error))
        return answers

    @property
    def count(self) -> int:
        """How many nodes there are to ask."""
        return len(self._targets)

    def budget_s(self, timeout_s: float | None) -> float:
        """What was asked for, or else what counts for all."""
        return self._timeout_s if timeout_s is None else timeout_s

    def close(self) -> None:
        """Close all channels; calls under way fail with Unknown."""
        with self._lock:
            self._closed = True
            channels = list(self._channels.values())
            self._channels.clear()
            self._callables.clear()
        for channel in channels:
            channel.close()

    def _begin(self) -> int:
        if not self._spread:
            return self._first
        with self._lock:
            self._first = (self._first + 1) % len(self._targets)
            return self._first

    def _leave(self, index: int) -> None:
        """Begin elsewhere than at this node, whose stream broke."""
        with self._lock:
            if self._first == index and not self._spread:
                self._first = (index + 1) % len(self._targets)

    def _callable(self, target: str, method: Method[Q, A], *, streamed: bool = False) -> Callable[..., Any]:
        found = self._callables.get((target, method.path))
        if found is not None:
            return found
        with self._lock:
            if self._closed:
                raise Invalid("the client is closed")
            channel = self._channels.get(target)
            if channel is None:
                channel = self._channels[target] = grpc.insecure_channel(target, options=self._options)
            make = channel.unary_stream if streamed else channel.unary_unary
            made: Callable[..., Any] = make(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            self._callables[target, method.path] = made
            return made


class Stream(Generic[A]):
    """The answers of one node, as they come. `close` cancels, from any thread."""

    __slots__ = ("__weakref__", "_call", "_closed", "_left")

    def __init__(self, call: Any, left: Callable[[], None]) -> None:
        self._call = call
        self._left = left
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> A:
        try:
            answer: A = next(self._call)
        except grpc.RpcError as error:
            if self._closed:
                raise StopIteration from None
            if _status.code_of(error) in _status.RESUMED:
                self._left()
            raise failure_of(error) from error
        return answer

    def index(self, timeout_s: float = ATTEMPT_TIMEOUT_S) -> int:
        """The log index at which the stream begins; 0 where the node does not tell, or does not answer.

        A node that is silent for `timeout_s` is left; `next` raises Unknown then.
        """
        timer = threading.Timer(timeout_s, self._call.cancel)
        timer.daemon = True
        timer.start()
        try:
            return index_in(self._call.initial_metadata())
        finally:
            timer.cancel()

    def close(self) -> None:
        """Stop it; the node is told."""
        self._closed = True
        self._call.cancel()

    def __del__(self) -> None:
        self._call.cancel()


def index_in(headers: Any) -> int:
    """The log index among an answer's headers; 0 where there is none."""
    for key, value in headers or ():
        if key == _methods.INDEX and value.isdecimal():
            return int(value)
    return 0
