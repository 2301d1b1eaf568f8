"""A variable as read at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from snakepit._codec import Codec
from snakepit._proto import snakepit_bridge_pb2 as pb


class Registered(NamedTuple):
    """What `Session.register` answers: the variable's id, and its version (from 1)."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Dependency:
    """One end of a dependency: the other variable, and the kind (derives, requires or relates)."""

    variable: str
    kind: str


@dataclass(frozen=True, slots=True)
class Lock:
    """That an optimizer holds a variable, and until when unless it renews its lease."""

    optimizer_id: str
    config: Mapping[str, str]
    started_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's value, and what the cluster keeps with it.

    `access` are its rules, empty where everybody may do everything; `lock` is None where nobody optimizes it.
    """

    id: str
    name: str
    type: str
    value: Any
    version: int
    constraints: Mapping[str, Any]
    metadata: Mapping[str, str]
    updated_at: datetime
    created_at: datetime
    access: Mapping[str, Any]
    dependencies: tuple[Dependency, ...] = ()
    dependents: tuple[Dependency, ...] = ()
    lock: Lock | None = None


def from_wire(variable: pb.Variable, codec: Codec) -> Variable:
    """The variable of an answer. Raises Invalid where its value cannot be read."""
    return Variable(
        id=variable.id,
        name=variable.name,
        type=variable.type,
        value=codec.decode(variable.value, variable.binary_value or None),
        version=variable.version,
        constraints=json.loads(variable.constraints_json or "{}"),
        metadata=dict(variable.metadata),
        updated_at=time_of(variable.last_updated_at),
        created_at=time_of(variable.created_at),
        access=json.loads(variable.access_control_json or "{}"),
        dependencies=dependencies(variable.dependencies),
        dependents=dependencies(variable.dependents),
        lock=_lock(variable.optimization_status),
    )


def dependencies(found: Iterable[pb.Dependency]) -> tuple[Dependency, ...]:
    """The dependencies of an answer."""
    return tuple(Dependency(one.variable, one.kind) for one in found)


def time_of(timestamp: Timestamp) -> datetime:
    """A time of an answer, in UTC."""
    return timestamp.ToDatetime(UTC)


def _lock(status: pb.OptimizationStatus) -> Lock | None:
    if not status.optimizing:
        return None
    return Lock(
        optimizer_id=status.optimizer_id,
        config=dict(status.optimizer_config),
        started_at=time_of(status.started_at),
        expires_at=time_of(status.expires_at),
    )
