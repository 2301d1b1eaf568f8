"""Telemetry events as they go over the wire, and who wants which of them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from snakepit._proto import snakepit_bridge_pb2 as pb


def event(
    name: str | Sequence[str],
    measurements: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
    correlation_id: str,
) -> pb.TelemetryEvent:
    """An event of now. Measurements that are no numbers, or no 64-bit integers, go as text."""
    parts = name.split(".") if isinstance(name, str) else name
    return pb.TelemetryEvent(
        event_parts=[text(part) for part in parts],
        measurements={text(key): _measure(value) for key, value in (measurements or {}).items()},
        metadata={text(key): text(value) for key, value in (metadata or {}).items()},
        timestamp_ns=time.time_ns(),
        correlation_id=text(correlation_id),
    )


def text(value: object) -> str:
    """As text that UTF-8 can carry."""
    return str(value).encode(errors="backslashreplace").decode()


def _measure(value: Any) -> pb.TelemetryValue:
    if isinstance(value, bool):
        return pb.TelemetryValue(int_value=int(value))
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return pb.TelemetryValue(int_value=value)
    if isinstance(value, float):
        return pb.TelemetryValue(float_value=value)
    return pb.TelemetryValue(string_value=text(value))


class Controls:
    """Which events go out, as the other side says. Patterns are globs over the parts joined with dots."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.rate = 1.0
        self.sampled: tuple[str, ...] = ()
        self.allow: tuple[str, ...] = ()
        self.deny: tuple[str, ...] = ()

    def apply(self, control: pb.TelemetryControl) -> None:
        """Take what the caller says."""
        match control.WhichOneof("control"):
            case "toggle":
                self.enabled = control.toggle.enabled
            case "sampling":
                self.rate = min(1.0, max(0.0, control.sampling.sampling_rate))
                self.sampled = tuple(control.sampling.event_patterns)
            case "filter":
                self.allow = tuple(control.filter.allow)
                self.deny = tuple(control.filter.deny)
            case _:
                pass

    def wants(self, name: str) -> bool:
        """Whether an event of this name goes out; where sampled, by the throw of a die."""
        if not self.enabled:
            return False
        if _matches(name, self.deny) or (self.allow and not _matches(name, self.allow)):
            return False
        if self.rate < 1.0 and (not self.sampled or _matches(name, self.sampled)):
            return random.random() < self.rate  # noqa: S311
        return True

    def pass_on(self, event: pb.TelemetryEvent) -> bool:
        """Whether this event goes out."""
        return self.wants(".".join(event.event_parts))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
