"""Pools and workers of the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snakepit import _methods
from snakepit._proto import cluster_v1_pb2 as pb
from snakepit._scope import Call, Scope
from snakepit.errors import Invalid, SnakepitError

Action = Literal["restart", "drain", "kill"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """A tool that is refused for a while, for it failed again and again; times in seconds."""

    tool: str
    state: str
    failures: int
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool, as the node that was asked has it: `node_id` says which. `definition` are its settings.

    `starting` are processes that have not said hello, `waiting` places whose turn to start has not come,
    `backing_off` places that pause after a crash. `origin` is cluster, file or offer; `version` counts the
    changes of a pool of the cluster. The numbers are those of that node since it started.
    """

    name: str
    origin: str
    version: int
    definition: Mapping[str, Any]
    node_id: int
    placed: bool
    tools: Sequence[str]
    desired: int
    ready: int
    starting: int
    waiting: int
    backing_off: int
    draining: int
    tainted: int
    slots: int
    running: int
    queued: int
    calls_ok: int
    calls_raised: int
    calls_lost: int
    restarts: int
    circuits: Sequence[Circuit]
    problem: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker. `problem` says why the last one in its place ended, unless it was asked to.

    `principal` says who offers its tools; it is empty for workers that the node started.
    """

    id: str
    node_id: int
    pid: int
    pool: str
    state: str
    calls: int
    running: int
    rss_bytes: int
    uptime_s: float
    restarts: int
    generation: int
    concurrency: str
    python_version: str
    problem: str
    place: int
    principal: str = ""


def listed() -> Call[list[Pool]]:
    """All pools."""
    return Scope().call(
        _methods.LIST_POOLS, pb.ListPoolsRequest(), lambda answer: [_pool(pool) for pool in answer.pools]
    )


def put(name: str, definition: Mapping[str, Any], *, expected_version: int, create_only: bool) -> Call[int]:
    """Add a pool or change it as a whole."""
    request = pb.PutPoolRequest(
        name=name,
        definition_json=json.dumps(dict(definition)),
        expected_version=expected_version,
        create_only=create_only,
    )
    return Scope().call(_methods.PUT_POOL, request, lambda answer: int(answer.version))


def remove(name: str) -> Call[bool]:
    """Take a pool away."""
    return Scope().call(
        _methods.REMOVE_POOL, pb.RemovePoolRequest(name=name), lambda answer: bool(answer.existed)
    )


def workers() -> Call[list[WorkerInfo]]:
    """The workers of the node that is asked."""
    return Scope().call(
        _methods.LIST_WORKERS,
        pb.ListWorkersRequest(),
        lambda answer: [_worker(worker) for worker in answer.workers],
    )


def control(action: Action, *, worker_id: str, pool: str) -> Call[list[str]]:
    """Restart, drain or kill workers of the node that is asked."""
    request = pb.ControlWorkersRequest(action=action, worker_id=worker_id, pool=pool)
    return Scope().call(_methods.CONTROL_WORKERS, request, lambda answer: list(answer.worker_ids))


def gathered(call: Call[list[WorkerInfo]], answers: Iterable[Any]) -> list[WorkerInfo]:
    """The workers of all nodes that answered, each once. Raises what a node said where none did."""
    found: dict[tuple[int, str], WorkerInfo] = {}
    failures = []
    answered = False
    for answer in answers:
        if isinstance(answer, SnakepitError):
            failures.append(answer)
        else:
            answered = True
            found.update({(worker.node_id, worker.id): worker for worker in call.read(answer)})
    if failures and not answered:
        raise failures[0]
    return list(found.values())


def told(call: Call[list[str]], answers: Iterable[Any]) -> list[str]:
    """The workers of all nodes that were told. Raises what a node said where there are none."""
    found: list[str] = []
    failure: SnakepitError | None = None
    for answer in answers:
        if isinstance(answer, SnakepitError):
            # A node that has no such worker says so; another that was not reached may have it.
            failure = answer if failure is None or not isinstance(answer, Invalid) else failure
        else:
            found += call.read(answer)
    if not found and failure is not None:
        raise failure
    return found


def _pool(pool: pb.Pool) -> Pool:
    return Pool(
        name=pool.name,
        origin=pool.origin,
        version=pool.version,
        definition=json.loads(pool.definition_json or "{}"),
        node_id=pool.node_id,
        placed=pool.placed,
        tools=tuple(pool.tools),
        desired=pool.desired,
        ready=pool.ready,
        starting=pool.starting,
        waiting=pool.waiting,
        backing_off=pool.backing_off,
        draining=pool.draining,
        tainted=pool.tainted,
        slots=pool.slots,
        running=pool.running,
        queued=pool.queued,
        calls_ok=pool.calls_ok,
        calls_raised=pool.calls_raised,
        calls_lost=pool.calls_lost,
        restarts=pool.restarts,
        circuits=tuple(
            Circuit(one.tool, one.state, one.failures, one.retry_after_ms / 1000) for one in pool.circuits
        ),
        problem=pool.problem,
    )


def _worker(worker: pb.Worker) -> WorkerInfo:
    return WorkerInfo(
        id=worker.id,
        node_id=worker.node_id,
        pid=worker.pid,
        pool=worker.pool,
        state=worker.state,
        calls=worker.calls,
        running=worker.running,
        rss_bytes=worker.rss_bytes,
        uptime_s=worker.uptime_ms / 1000,
        restarts=worker.restarts,
        generation=worker.generation,
        concurrency=worker.concurrency,
        python_version=worker.python_version,
        problem=worker.problem,
        place=worker.place,
        principal=worker.principal,
    )
