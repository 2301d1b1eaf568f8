"""What a worker is told by its node, through environment and arguments.

============================  ==============================================================================
SNAKEPIT_WORKER_SOCKET        path of the node's Unix socket; needed
SNAKEPIT_WORKER_ID            the worker's name in the cluster; needed
SNAKEPIT_WORKER_TOKEN         one-time token for the connection
SNAKEPIT_WORKER_ADAPTER       `pkg.mod.Class` or `pkg.mod`; `--adapter` goes before it
SNAKEPIT_WORKER_SLOTS         calls that run at once; 1
SNAKEPIT_WORKER_CREDITS       calls the node may have outstanding here; twice the slots plus 64
SNAKEPIT_WORKER_INSTANCE      `request` or `worker`: what an adapter's instance lives for; the class's own
                              `instance` where unset, else `request`
SNAKEPIT_WORKER_CONCURRENCY   how slots run at once: `process` (one slot), `thread` (a thread for each; the
                              adapter must not say `__thread_safe__ = False`, and one of Snakepit's kind must
                              say True) or `asyncio` (async tools together, sync ones in turn on one thread);
                              unset: threads, and nothing asked of the adapter
SNAKEPIT_WORKER_RECONNECT_MS  how long a worker whose stream broke tries to dial again; 5000, 0 is not at all
SNAKEPIT_MESSAGE_BYTES_MAX    largest message on the socket; 64 MiB
SNAKEPIT_NODE_PID             the node's process id; the worker ends when that is not its parent
SNAKEPIT_THREAD_SENSITIVE     `1`: every sync tool runs on one and the same thread
SNAKEPIT_LEGACY_RESULTS       `0.4` or `0.13`: results byte for byte as that Snakepit wrote them
SNAKEPIT_ALLOW_PICKLE         `1`: pickled arguments of old clients are read, where they are lists of numbers
SNAKEPIT_LOG_LEVEL            debug, info, warning or error; info
============================  ==============================================================================

The worker sets SNAKEPIT_WORKER_PID to its own process id, for the processes that its tools start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from snakepit.errors import Invalid

SLOTS_MAX: Final = 1024
CREDITS_BEHIND: Final = 64
CREDITS_MAX: Final = 65_536
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
MESSAGE_BYTES_MIN: Final = 64 * 1024
RECONNECT_MS: Final = 5000
RECONNECT_MS_MAX: Final = 600_000
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

Instance = Literal["request", "worker"]
Concurrency = Literal["process", "thread", "asyncio"]
CONCURRENCIES: Final[tuple[Concurrency, ...]] = ("process", "thread", "asyncio")


@dataclass(frozen=True, slots=True)
class Settings:
    """A worker's settings, checked. Units are in the names."""

    socket: str
    worker_id: str
    token: str
    adapter: str
    slots: int
    credits: int
    instance: Instance | None
    # None where nothing was asked for.
    concurrency: Concurrency | None
    reconnect_ms: int
    frames: str
    message_bytes_max: int
    node_pid: int | None
    thread_sensitive: bool
    log_level: str

    @property
    def target(self) -> str:
        """Where the node is dialled."""
        return f"unix:{self.socket}"


def from_environment(environment: Mapping[str, str], arguments: Sequence[str]) -> Settings:
    """The settings of this process. Raises Invalid naming what is wrong; unknown flags are ignored."""
    slots = _integer(environment, "SNAKEPIT_WORKER_SLOTS", 1, 1, SLOTS_MAX)
    instance = environment.get("SNAKEPIT_WORKER_INSTANCE", "")
    if instance not in ("", "request", "worker"):
        raise Invalid(f"SNAKEPIT_WORKER_INSTANCE is {instance!r}; it is 'request' or 'worker'")
    level = environment.get("SNAKEPIT_LOG_LEVEL", "info").lower()
    if level not in LOG_LEVELS:
        raise Invalid(f"SNAKEPIT_LOG_LEVEL is {level!r}; it is one of {', '.join(LOG_LEVELS)}")
    return Settings(
        socket=_needed(environment, "SNAKEPIT_WORKER_SOCKET", "the node sets it when it starts a worker"),
        worker_id=_needed(environment, "SNAKEPIT_WORKER_ID", "the node sets it when it starts a worker"),
        token=environment.get("SNAKEPIT_WORKER_TOKEN", ""),
        adapter=adapter_of(arguments) or _needed(environment, "SNAKEPIT_WORKER_ADAPTER", "or give --adapter"),
        slots=slots,
        credits=_integer(
            environment, "SNAKEPIT_WORKER_CREDITS", 2 * slots + CREDITS_BEHIND, slots, CREDITS_MAX
        ),
        instance="worker" if instance == "worker" else "request" if instance else None,
        concurrency=_concurrency(environment, slots),
        frames=environment.get("SNAKEPIT_WORKER_FRAMES", ""),
        reconnect_ms=_integer(environment, "SNAKEPIT_WORKER_RECONNECT_MS", RECONNECT_MS, 0, RECONNECT_MS_MAX),
        message_bytes_max=_integer(
            environment, "SNAKEPIT_MESSAGE_BYTES_MAX", MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, 2**31 - 1
        ),
        node_pid=_integer(environment, "SNAKEPIT_NODE_PID", 0, 0, 2**31 - 1) or None,
        thread_sensitive=environment.get("SNAKEPIT_THREAD_SENSITIVE", "").lower() in ("1", "true", "yes"),
        log_level=level,
    )


def adapter_of(arguments: Sequence[str]) -> str:
    """What `--adapter` names; empty where it is not given."""
    # Not by argparse, whose import takes a good part of a worker's start.
    for number, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        if name == "--adapter":
            return value if given else "".join(arguments[number + 1 : number + 2])
    return ""


def _concurrency(environment: Mapping[str, str], slots: int) -> Concurrency | None:
    text = environment.get("SNAKEPIT_WORKER_CONCURRENCY", "")
    if not text:
        return None
    for known in CONCURRENCIES:
        if known == text:
            break
    else:
        raise Invalid(f"SNAKEPIT_WORKER_CONCURRENCY is {text!r}; it is one of {', '.join(CONCURRENCIES)}")
    if known == "process" and slots != 1:
        raise Invalid(
            f"SNAKEPIT_WORKER_CONCURRENCY is 'process', which has one slot, and SNAKEPIT_WORKER_SLOTS is "
            f"{slots}; take more workers, or 'thread' or 'asyncio'"
        )
    return known


def _needed(environment: Mapping[str, str], name: str, remedy: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise Invalid(f"{name} is not set; {remedy}")
    return value


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text[:20]) <= high:
        raise Invalid(f"{name} is {text!r}; it is a whole number from {low} to {high}")
    return int(text)
