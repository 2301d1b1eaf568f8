"""Nodes tried in turn, for asyncio. All that is decided is decided by `_attempts`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Self

import grpc
import grpc.aio

from snakepit import _attempts, _status
from snakepit._attempts import ATTEMPT_TIMEOUT_S, MESSAGE_BYTES_MAX, TIMEOUT_S, Attempts
from snakepit._endpoints import NO_ENDPOINTS, index_in
from snakepit._methods import A, Metadata, Method, Q
from snakepit.errors import Invalid, SnakepitError


class AsyncEndpoints:
    """Channels to nodes, opened at first use in the loop that runs then, closed by `close`.

    What `Endpoints` does, for one event loop.
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
        self._options = _attempts.channel_options(message_bytes_max, keepalive=True)
        self._spread = spread
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._callables: dict[tuple[str, str], Callable[..., Any]] = {}
        self._first = 0
        self._closed = False

    async def unary(
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
                answer: A = await self._callable(attempts.target, method)(
                    request, timeout=attempts.limit_s(), metadata=sent
                )
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.failed(error))
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
    ) -> AsyncStream[A]:
        """Ask one node and give its answers; a stream that breaks is an error, never a silent repeat."""
        index = self._begin()
        limit = self._timeout_s if timeout_s is None else timeout_s
        call = self._callable(self._targets[index], method, streamed=True)(
            request,
            timeout=None if math.isinf(limit) else limit,
            metadata=_attempts.sent(method, self._metadata, metadata, request_id=request_id),
        )
        return AsyncStream(call, lambda: self._leave(index))

    async def each(
        self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None
    ) -> list[A | SnakepitError]:
        """Ask every node once; what each answered, in their order."""
        sent = _attempts.sent(method, self._metadata)
        answers: list[A | SnakepitError] = []
        for target in self._targets:
            ask = self._callable(target, method)
            try:
                answers.append(await ask(request, timeout=self.budget_s(timeout_s), metadata=sent))
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

    async def close(self) -> None:
        """Close all channels; calls under way fail with Unknown."""
        self._closed = True
        channels = list(self._channels.values())
        self._channels.clear()
        self._callables.clear()
        for channel in channels:
            await channel.close()

    def _begin(self) -> int:
        if self._spread:
            self._first = (self._first + 1) % len(self._targets)
        return self._first

    def _leave(self, index: int) -> None:
        """Begin elsewhere than at this node, whose stream broke."""
        if self._first == index and not self._spread:
            self._first = (index + 1) % len(self._targets)

    def _callable(self, target: str, method: Method[Q, A], *, streamed: bool = False) -> Callable[..., Any]:
        found = self._callables.get((target, method.path))
        if found is not None:
            return found
        if self._closed:
            raise Invalid("the client is closed")
        channel = self._channels.get(target)
        if channel is None:
            channel = self._channels[target] = grpc.aio.insecure_channel(target, options=self._options)
        make: Any = channel.unary_stream if streamed else channel.unary_unary
        made: Callable[..., Any] = make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        self._callables[target, method.path] = made
        return made


class AsyncStream(Generic[A]):
    """The answers of one node, as they come. `aclose` cancels."""

    __slots__ = ("_call", "_closed", "_left")

    def __init__(self, call: Any, left: Callable[[], None]) -> None:
        self._call = call
        self._left = left
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> A:
        try:
            answer = await self._call.read()
        except grpc.RpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            # A call that was cancelled, by us or by its channel, says so as if the task had been.
            if _cancelling() or not self._call.done():
                raise
            silent = _Cancelled()
            raise self._failure(silent) from silent
        if answer is grpc.aio.EOF:
            raise StopAsyncIteration
        found: A = answer
        return found

    async def index(self, timeout_s: float = ATTEMPT_TIMEOUT_S) -> int:
        """The log index at which the stream begins; 0 where the node does not tell, or does not answer.

        A node that is silent for `timeout_s` is left; the next read raises Unknown then.
        """
        try:
            return index_in(await asyncio.wait_for(self._call.initial_metadata(), timeout_s))
        except TimeoutError:
            self._call.cancel()
            return 0
        except grpc.RpcError:
            return 0

    async def aclose(self) -> None:
        """Stop it; the node is told."""
        self._closed = True
        self._call.cancel()

    def _failure(self, error: grpc.RpcError) -> Exception:
        if self._closed:
            return StopAsyncIteration()
        if _status.code_of(error) in _status.RESUMED:
            self._left()
        return _status.failure_of(error)


class _Cancelled(grpc.RpcError):
    """What the sync surface of gRPC raises where the one of asyncio raises CancelledError."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "the node was silent, or the client was closed"


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
