"""A variable as read at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from snakepit import _values
from snakepit._proto import snakepit_bridge_pb2 as pb


class Registered(NamedTuple):
    """What `Session.register` answers: the variable's id, and its version (from 1)."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's value, and what the cluster keeps with it."""

    id: str
    name: str
    type: str
    value: Any
    version: int
    constraints: Mapping[str, Any]
    metadata: Mapping[str, str]
    updated_at: datetime


def from_wire(variable: pb.Variable) -> Variable:
    """The variable of an answer. Raises Invalid where its value cannot be read."""
    return Variable(
        id=variable.id,
        name=variable.name,
        type=variable.type,
        value=_values.decode(variable.value, variable.binary_value or None),
        version=variable.version,
        constraints=json.loads(variable.constraints_json or "{}"),
        metadata=dict(variable.metadata),
        updated_at=variable.last_updated_at.ToDatetime(UTC),
    )
