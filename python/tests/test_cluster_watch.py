"""Watches and writes against real nodes that die."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests import surfaces
from tests.cluster import NODES, Cluster


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Any]:
    yield from surfaces.connect(request.param, cluster.endpoints, principal="ada")


@pytest.fixture
def session(client: Any) -> Any:
    return client.create_session(f"w-{uuid.uuid4()}", ttl_s=600)


def test_initial_values_and_changes(session: Any) -> None:
    session.register("a", 1)
    session.register("b", 2)
    with session.watch() as watch:
        first = [next(watch), next(watch)]
        assert {(u.kind, u.name, u.value) for u in first} == {
            ("initial_value", "a", 1),
            ("initial_value", "b", 2),
        }
        session.set("a", 3)
        session.register("c", 4)
        session.delete("b")
        found = [next(watch) for _ in range(3)]
        assert [(u.kind, u.name) for u in found] == [
            ("value_change", "a"),
            ("registered", "c"),
            ("deleted", "b"),
        ]
        assert found[0].value == 3
        assert found[0].cause.principal == "ada"
        assert [u.position for u in found] == sorted(u.position for u in found)
    with session.watch(after=found[0].position) as watch:
        assert [next(watch).kind for _ in range(2)] == ["registered", "deleted"]


def test_a_watch_ends_with_its_session(session: Any) -> None:
    session.register("a", 1)
    with session.watch("a", initial=False) as watch:
        session.close()
        with pytest.raises(errors.SessionNotFoundError):
            next(watch)


def test_no_gap_and_no_repeat_while_nodes_die(cluster: Cluster, session: Any) -> None:
    """Each node is killed and started again, the leader among them, while one writes and one watches."""
    count = 300
    session.register("n", 0)
    session.register("m", 0)

    def write() -> None:
        with snakepit.connect(cluster.endpoints, timeout_s=60) as other:
            theirs = other.session(session.id)
            for n in range(1, count + 1):
                theirs.update({"n": n, "m": n})

    writer = threading.Thread(target=write, daemon=True)
    got: dict[str, list[int]] = {"n": [], "m": []}
    seen: list[int] = []
    with session.watch() as watch:
        writer.start()
        kill = iter(range(1, NODES + 1))
        for update in watch:
            got[update.name].append(update.value)
            if update.kind != "initial_value":
                seen.append(update.position)
            if update.name == "n" and update.value in (50, 130, 210):
                node = next(kill)
                cluster.kill(node)
                cluster.start(node)
            if len(got["n"]) + len(got["m"]) == 2 * count + 2:
                break
    writer.join(60)
    assert got == {"n": list(range(count + 1)), "m": list(range(count + 1))}
    assert seen == sorted(set(seen))


def test_a_write_takes_effect_once_when_the_leader_dies(cluster: Cluster, session: Any) -> None:
    session.register("n", 0)
    leader = cluster.leader()
    for n in range(40):
        if n == 20:
            cluster.kill(leader)
        assert session.change("n", lambda value: value + 1) == n + 1
    cluster.start(leader)
    assert [version.value for version in session.history("n")] == list(range(40, -1, -1))
