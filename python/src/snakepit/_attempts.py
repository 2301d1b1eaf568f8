"""One request's way through the nodes: whom to ask next, for how long, and when to give up. No IO."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from snakepit import _methods, _status
from snakepit._methods import Metadata, Method
from snakepit.errors import CircuitOpen, Invalid

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 30.0
# How long one node may take for a state call before the next one is asked, with the same request id.
ATTEMPT_TIMEOUT_S: Final = 5.0
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 0.5
# A node that answers no ping on a connection with calls under way is taken for dead.
_KEEPALIVE_MS: Final = 10_000
_KEEPALIVE_TIMEOUT_MS: Final = 5_000

RAW_ARRAYS: Final[Metadata] = ((_methods.ARRAYS, "raw"),)


def channel_options(
    message_bytes_max: int = MESSAGE_BYTES_MAX, *, keepalive: bool = False
) -> list[tuple[str, Any]]:
    """GRPC's options for a channel to a node, on TCP or a Unix socket."""
    options: list[tuple[str, Any]] = [
        ("grpc.default_authority", "localhost"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if keepalive:
        options += [
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
            # A watch may be silent for hours.
            ("grpc.http2.max_pings_without_data", 0),
        ]
    return options


def sent(method: Method[Any, Any], *given: Metadata, request_id: str = "") -> Metadata:
    """The metadata of one request, the same on every attempt. Raises Invalid where it cannot be sent."""
    identity = (_methods.REQUEST_ID, request_id or str(uuid.uuid4()))
    pairs = (*RAW_ARRAYS, *(pair for metadata in given for pair in metadata), *method.metadata, identity)
    for name, value in pairs:
        if not (value.isascii() and value.isprintable()):
            raise Invalid(f"{name} is not printable ASCII: {value!r}", hint="encode it")
    return pairs


def pause(attempt: int, targets: int) -> float:
    """None before another node is tried; then longer and longer, with jitter."""
    rounds, place = divmod(attempt, targets)
    if place:
        return 0.0
    longest: float = min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0 ** min(rounds, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


class Attempts:
    """The attempts of one request, within one budget of time.

    They go to the nodes in turn, from `first`; where a node names the leader, and that is one of `targets`,
    it is the next. What is neither `deduplicated` nor `repeatable` is not asked again once it may have been
    done.
    """

    __slots__ = (
        "_attempt",
        "_clock",
        "_ends",
        "_limit",
        "_maybe_done",
        "_once",
        "_retried",
        "_targets",
        "index",
    )

    def __init__(
        self,
        targets: Sequence[str],
        first: int,
        budget_s: float,
        *,
        deduplicated: bool,
        repeatable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets = targets
        self._clock = clock
        self._ends = clock() + budget_s
        self._limit = ATTEMPT_TIMEOUT_S if deduplicated else budget_s
        self._once = not deduplicated and not repeatable
        self._retried = _status.RETRIED if self._once else _status.RETRIED_WHERE_DEDUPLICATED
        self._attempt = 0
        self._maybe_done = False
        self.index = first

    @property
    def target(self) -> str:
        """The node to ask now."""
        return self._targets[self.index]

    def limit_s(self) -> float:
        """How long this attempt may take."""
        return min(self._ends - self._clock(), self._limit)

    def failed(self, error: grpc.RpcError) -> float:
        """Go on to the next node, after so many seconds.

        Raises the error, with a `maybe_done` that covers all attempts, where it is one that stays or the
        time is over.
        """
        failure = _status.failure_of(error)
        self._maybe_done = self._maybe_done or failure.maybe_done
        self._attempt += 1
        wait_s = pause(self._attempt, len(self._targets))
        # An open circuit does not close sooner for being asked, but may be closed elsewhere.
        asked_all = isinstance(failure, CircuitOpen) and self._attempt >= len(self._targets)
        over = asked_all or isinstance(failure, _status.OUTCOMES)
        stays = over or _status.code_of(error) not in self._retried or (self._once and self._maybe_done)
        if stays or self._clock() + wait_s >= self._ends:
            failure.maybe_done = self._maybe_done
            raise failure from error
        self.index = self._next(_status.trailers_of(error).get(_status.LEADER, ""))
        return wait_s

    def _next(self, leader: str) -> int:
        if leader in self._targets and leader != self.target:
            return self._targets.index(leader)
        return (self.index + 1) % len(self._targets)
