"""A small random search over `snakepit.demo.digits`, through every node, across failures."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from snakepit import CallResult, Client, Session
from snakepit.demo import _parameters
from snakepit.errors import Exhausted, NotFound, Refused, SnakepitError, ToolError, Unavailable, Unknown

T = TypeVar("T")

# How long one step may fail before the search gives up, and one attempt at it may take.
STEP_BUDGET_S: Final = 60.0
ATTEMPT_S: Final = 10.0
_PAUSE_S: Final = 0.1
# Failures that pass: of the cluster, or of the worker under a call. NotFound: a node without workers yet.
_PASSING: Final = (Unavailable, Unknown, Exhausted, Refused, ToolError, NotFound)


@dataclass
class Steps:
    """Runs steps until they succeed, and keeps the time between successes."""

    tell: Callable[[dict[str, Any]], None]
    largest_gap_ms: float = 0.0
    failures: int = 0
    _last: float = field(default_factory=time.monotonic)

    def run(self, name: str, step: Callable[[str], T]) -> T:
        """Call `step` with a request id until it returns. Raises its last error after STEP_BUDGET_S.

        The id stays the same while the outcome is unknown; after an outcome it would only be repeated.
        """
        ends = time.monotonic() + STEP_BUDGET_S
        request_id = str(uuid.uuid4())
        while True:
            try:
                value = step(request_id)
            except _PASSING as error:
                self.failures += 1
                self.tell({"event": "failure", "step": name, **described(error)})
                if time.monotonic() >= ends:
                    raise
                if isinstance(error, ToolError):
                    request_id = str(uuid.uuid4())
                time.sleep(_PAUSE_S)
            else:
                now = time.monotonic()
                gap_ms = (now - self._last) * 1000
                self.largest_gap_ms = max(self.largest_gap_ms, gap_ms)
                self._last = now
                self.tell({"event": "step", "step": name, "gap_ms": round(gap_ms, 1)})
                return value


def described(error: SnakepitError) -> dict[str, Any]:
    """An error for the record."""
    return {"error": type(error).__name__, "message": str(error), "maybe_done": error.maybe_done}


def prepare(client: Client, steps: Steps, session_id: str) -> Session:
    """The session with its typed variables, registered once."""
    session = steps.run("create_session", lambda _: client.create_session(session_id, ttl_s=3600))
    for name, kind, value, constraints in _parameters.VARIABLES:

        def register(
            _: str, name: str = name, kind: str = kind, value: Any = value, rules: Any = constraints
        ) -> None:
            session.register(name, value, kind, constraints=rules)

        steps.run(f"register {name}", register)
    return session


def search(
    client: Client, session: Session, steps: Steps, *, trials: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Run the trials one after the other; gives a record of each."""
    draw = random.Random(seed)  # noqa: S311
    for trial in range(1, trials + 1):
        params = _parameters.draw(draw)

        def tune(_: str, params: dict[str, Any] = params) -> None:
            session.update(params)

        def train(request_id: str, trial: int = trial) -> CallResult:
            return client.call(
                "train_and_score", session, timeout_s=ATTEMPT_S, request_id=request_id, trial=trial
            )

        began = time.monotonic()
        steps.run(f"tune {trial}", tune)
        result = steps.run(f"train {trial}", train)
        yield {
            "trial": trial,
            "params": result.value["params"],
            "score": result.value["score"],
            "node": result.node_id,
            "worker": result.worker_id,
            "ms": round((time.monotonic() - began) * 1000, 1),
            "at_ms": int(time.time() * 1000),
        }
