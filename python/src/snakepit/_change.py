"""Changes: the entries of a variable's history, and the updates of a watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snakepit._codec import Codec
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._variable import Dependency, Variable, dependencies, from_wire, time_of


@dataclass(frozen=True, slots=True)
class Cause:
    """Who changed something, and through what; empty and 0 where it was not said.

    `principal` is what the caller declared, unless `principal_verified`.
    """

    principal: str = ""
    principal_verified: bool = False
    request_id: str = ""
    call_id: str = ""
    tool: str = ""
    worker: str = ""
    node: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a variable, from its history.

    `kind` is value_change, rollback or registered; `rolled_back_to` the version whose value a rollback took,
    else 0. `metadata` is what this change added to the variable's.
    """

    version: int
    value: Any
    time: datetime
    who: str
    cause: Cause
    kind: str
    metadata: Mapping[str, str]
    rolled_back_to: int
    position: int


@dataclass(frozen=True, slots=True)
class Update:
    """One change of a watched variable.

    `kind` is initial_value, value_change, rollback, registered, constraint_change, deleted, access_change,
    dependency_change, optimization_started or optimization_stopped. `value` is that behind the change, None
    where the variable was deleted. A watch `after` the `position` goes on behind this update.
    """

    kind: str
    name: str
    id: str
    value: Any
    version: int
    position: int
    time: datetime
    variable: Variable
    source: str
    metadata: Mapping[str, str]
    dependents: tuple[Dependency, ...]
    cause: Cause
    raft_index: int


def version_of(entry: pb.VariableHistoryEntry, codec: Codec) -> Version:
    """The entry of an answer. Raises Invalid where its value cannot be read."""
    return Version(
        version=entry.version,
        value=codec.decode(entry.value, entry.binary_value or None),
        time=time_of(entry.timestamp),
        who=entry.changed_by,
        cause=cause_of(entry.cause),
        kind=entry.update_type,
        metadata=dict(entry.metadata),
        rolled_back_to=entry.rolled_back_to,
        position=entry.position,
    )


def update_of(update: pb.VariableUpdate, codec: Codec) -> Update:
    """The update of a watch. Raises Invalid where its value cannot be read."""
    variable = from_wire(update.variable, codec)
    return Update(
        kind=update.update_type,
        name=variable.name,
        id=update.variable_id or variable.id,
        value=variable.value,
        version=variable.version,
        position=update.position,
        time=time_of(update.timestamp),
        variable=variable,
        source=update.update_source,
        metadata=dict(update.update_metadata),
        dependents=dependencies(update.dependents),
        cause=cause_of(update.cause),
        raft_index=update.raft_index,
    )


def cause_of(cause: pb.ChangeCause) -> Cause:
    """The cause in an answer."""
    return Cause(
        principal=cause.principal,
        principal_verified=cause.principal_verified,
        request_id=cause.request_id,
        call_id=cause.call_id,
        tool=cause.tool,
        worker=cause.worker,
        node=cause.node,
    )
