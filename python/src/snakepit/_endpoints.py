"""Nodes tried in turn: the retries of clients, and of a worker's callbacks to its node."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc

from snakepit import _methods, _status
from snakepit._methods import A, Method, Q
from snakepit.errors import Invalid, SnakepitError, Unknown

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 30.0
# How long one node may take for a state call before the next one is asked, with the same request id.
ATTEMPT_TIMEOUT_S: Final = 5.0
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 0.5

Metadata = tuple[tuple[str, str], ...]


def channel_options(message_bytes_max: int = MESSAGE_BYTES_MAX) -> list[tuple[str, Any]]:
    """GRPC's options for a channel to a node, on TCP or a Unix socket."""
    return [
        ("grpc.default_authority", "localhost"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.use_local_subchannel_pool", 1),
    ]


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
            raise Invalid("no endpoints", hint="name at least one node, for example 127.0.0.1:7001")
        self._targets = tuple(targets)
        self._metadata = metadata
        self._timeout_s = timeout_s
        self._options = channel_options(message_bytes_max)
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
        ends = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        sent = self._sent(metadata, request_id)
        retried = _status.RETRIED_WHERE_DEDUPLICATED if method.deduplicated else _status.RETRIED
        maybe_done = False
        first = self._begin()
        attempt = 0
        while True:
            index = (first + attempt) % len(self._targets)
            left = ends - time.monotonic()
            limit = min(left, ATTEMPT_TIMEOUT_S) if method.deduplicated else left
            try:
                answer: A = self._callable(self._targets[index], method)(
                    request, timeout=limit, metadata=sent
                )
            except grpc.RpcError as error:
                failure = failure_of(error)
                maybe_done = maybe_done or failure.maybe_done
                code = _code(error)
                attempt += 1
                pause = self._pause(attempt)
                if code not in retried or time.monotonic() + pause >= ends:
                    failure.maybe_done = maybe_done
                    raise failure from error
                time.sleep(pause)
            else:
                if not self._spread:
                    self._first = index
                return answer

    def stream(
        self,
        method: Method[Q, A],
        request: Q,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        request_id: str = "",
    ) -> Iterator[A]:
        """Ask one node and give its answers; a stream that breaks is an error, never a silent repeat."""
        target = self._targets[self._begin()]
        limit = self._timeout_s if timeout_s is None else timeout_s
        call = self._callable(target, method, streamed=True)
        answers = call(request, timeout=limit, metadata=self._sent(metadata, request_id))
        try:
            yield from answers
        except grpc.RpcError as error:
            raise failure_of(error) from error
        finally:
            answers.cancel()

    def close(self) -> None:
        """Close all channels; calls under way fail with Unknown."""
        with self._lock:
            self._closed = True
            channels = list(self._channels.values())
            self._channels.clear()
            self._callables.clear()
        for channel in channels:
            channel.close()

    def _sent(self, metadata: Metadata, request_id: str) -> Metadata:
        identity = (_methods.REQUEST_ID, request_id or str(uuid.uuid4()))
        return (*self._metadata, *metadata, identity)

    def _begin(self) -> int:
        if not self._spread:
            return self._first
        with self._lock:
            self._first = (self._first + 1) % len(self._targets)
            return self._first

    def _pause(self, attempt: int) -> float:
        """None before another node is tried; then longer and longer, with jitter."""
        rounds, place = divmod(attempt, len(self._targets))
        if place:
            return 0.0
        longest: float = min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0**rounds)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _callable(self, target: str, method: Method[Q, A], *, streamed: bool = False) -> Callable[..., Any]:
        found = self._callables.get((target, method.name))
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
            self._callables[target, method.name] = made
            return made


def failure_of(error: grpc.RpcError) -> SnakepitError:
    """Our exception for gRPC's."""
    code = _code(error)
    if code is None:
        return Unknown(str(error) or type(error).__name__)
    details = getattr(error, "details", None)
    return _status.from_status(code, details() if callable(details) else None)


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    """The status; gRPC's errors have one in practice, though not by their type."""
    code = getattr(error, "code", None)
    found = code() if callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else None
