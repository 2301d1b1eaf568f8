"""Optimizations: one writer holds a variable, as long as it renews its lease."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from snakepit import _methods
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Call, Scope, accepted, texts
from snakepit._variable import time_of
from snakepit.errors import Refused


class Held(NamedTuple):
    """The id that the owner's writes carry, and when the lock ends unless it is renewed."""

    id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """Who locks what, for how long; asked again, it renews the lease."""

    scope: Scope
    name: str
    optimizer_id: str = ""
    lease_s: float = 0
    config: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> Call[Held]:
        """Lock, or renew."""
        return start(self.scope, self.name, self.optimizer_id, lease_s=self.lease_s, config=self.config)

    def owner(self, held: Held) -> Scope:
        """The scope of the owner's writes."""
        return self.scope.at(((_methods.OPTIMIZATION_ID, held.id),))


def ask(
    scope: Scope, name: str, *, optimizer_id: str, lease_s: float, config: Mapping[str, str] | None
) -> Ask:
    """An optimization to be; a new optimizer where none is named."""
    return Ask(scope, name, optimizer_id or f"optimizer-{uuid.uuid4()}", lease_s, dict(texts(config)))


def start(
    scope: Scope, name: str, optimizer_id: str, *, lease_s: float, config: Mapping[str, str] | None
) -> Call[Held]:
    """Lock it."""
    request = pb.StartOptimizationRequest(
        session_id=scope.id,
        variable_identifier=name,
        optimizer_id=optimizer_id,
        optimizer_config=texts(config),
        lease_ms=round(lease_s * 1000),
    )
    return scope.call(
        _methods.START_OPTIMIZATION,
        request,
        lambda answer: Held(accepted(answer).optimization_id, time_of(answer.expires_at)),
    )


def stop(scope: Scope, name: str, optimization_id: str, *, force: bool = False) -> Call[Any]:
    """Unlock it; its value then."""
    request = pb.StopOptimizationRequest(
        session_id=scope.id, variable_identifier=name, force=force, optimization_id=optimization_id
    )

    def read(answer: pb.StopOptimizationResponse) -> Any:
        if not answer.success:
            raise Refused(f"the optimization of {name} could not be stopped", hint="give its id, or force")
        return scope.value(answer.final_value, answer.final_binary_value)

    return scope.call(_methods.STOP_OPTIMIZATION, request, read)
