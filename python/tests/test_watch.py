"""Watches on both surfaces, across nodes that die: no gap, no repeat."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

import snakepit
from snakepit import errors
from snakepit._ops.watches import WatchState
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._scope import Scope
from tests import surfaces
from tests.fake_bridge import FakeBridge, State


class Cluster:
    """Fake nodes over one state, on sockets."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.state = State()
        self.bridges = [FakeBridge(self.state) for _ in range(nodes)]
        self.targets = [f"unix:{folder}/{n}" for n in range(nodes)]
        self.servers = []
        for bridge, target in zip(self.bridges, self.targets, strict=True):
            server = grpc.server(futures.ThreadPoolExecutor(8))
            server.add_generic_rpc_handlers((bridge.handlers(),))
            server.add_insecure_port(target)
            server.start()
            self.servers.append(server)

    def kill(self, n: int) -> None:
        self.servers[n].stop(None).wait()

    def watches(self) -> list[pb.WatchVariablesRequest]:
        found = [r for bridge in self.bridges for r in bridge.requests]
        return [request for request in found if isinstance(request, pb.WatchVariablesRequest)]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("w"), 3)
    yield cluster
    for n in range(3):
        cluster.kill(n)


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Any]:
    yield from surfaces.connect(request.param, cluster.targets, timeout_s=10)


@pytest.fixture
def session(client: Any) -> Any:
    return client.session("s1")


def seen(watch: Any, count: int) -> list[tuple[str, str, Any]]:
    return [(u.kind, u.name, u.value) for u in (next(watch) for _ in range(count))]


def test_initial_values_and_then_every_change(session: Any) -> None:
    session.register("a", 1)
    session.register("b", 2)
    with session.watch() as watch:
        assert seen(watch, 2) == [("initial_value", "a", 1), ("initial_value", "b", 2)]
        session.set("a", 3)
        session.register("c", 4)
        session.delete("b")
        assert seen(watch, 3) == [
            ("value_change", "a", 3),
            ("registered", "c", 4),
            ("deleted", "b", None),
        ]
        assert watch.position == 5
    assert list(watch) == []


def test_only_what_was_asked_and_only_what_comes(session: Any) -> None:
    session.register("a", 1)
    session.register("b", 2)
    with session.watch("b", initial=False) as watch:
        session.set("a", 5)
        session.set("b", 6)
        update = next(watch)
        assert (update.name, update.value, update.version, update.position) == ("b", 6, 2, 4)
        assert (update.cause.principal, update.raft_index) == ("ada", 104)
    with session.watch(after=2) as watch:
        assert seen(watch, 2) == [("value_change", "a", 5), ("value_change", "b", 6)]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "UNKNOWN", "INTERNAL", "CANCELLED"])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_it_goes_on_elsewhere(cluster: Cluster, session: Any, code: str, after: int) -> None:
    session.register("a", 0)
    session.register("b", 0)
    # The first node ends the watch, in the initial values, between, or behind them.
    first = cluster.bridges[0]
    first.break_after, first.break_with = after, (grpc.StatusCode[code], "dying")
    with session.watch() as watch:
        for n in range(1, 4):
            session.set("a", n)
        assert [value for kind, _, value in seen(watch, 5) if kind == "value_change"] == [1, 2, 3]
        session.set("b", 9)
        assert seen(watch, 1) == [("value_change", "b", 9)]
    assert len({id(request) for request in cluster.watches()}) >= 2


def test_one_that_brought_nothing_begins_anew(cluster: Cluster, session: Any) -> None:
    session.register("a", 0)
    cluster.bridges[0].break_after = 0
    with session.watch() as watch:
        assert seen(watch, 1) == [("initial_value", "a", 0)]
        session.set("a", 1)
        assert seen(watch, 1) == [("value_change", "a", 1)]


def test_a_dead_node_and_nothing_lost(cluster: Cluster, session: Any) -> None:
    session.register("a", 0)
    got: list[int] = []
    with session.watch(initial=False) as watch:
        for n in range(1, 31):
            if n in (10, 20):
                cluster.kill(n // 10 - 1)
            session.set("a", n)
            if n % 3 == 0:
                got += [next(watch).value for _ in range(3)]
    assert got == list(range(1, 31))


def test_one_that_was_silent_so_far_goes_on_from_its_beginning(cluster: Cluster, session: Any) -> None:
    session.register("a", 0)
    with session.watch("a", initial=False) as watch:
        # The fake ends it at its first update, which is lost with the node.
        cluster.bridges[0].break_after = 0
        session.set("a", 1)
        assert next(watch).value == 1
    assert any(request.after_index for request in cluster.watches())


def test_owed_initial_values_are_those_of_the_moment(cluster: Cluster, session: Any) -> None:
    for name in "abc":
        session.register(name, 0)
    cluster.bridges[0].break_after = 1
    with session.watch() as watch:
        assert seen(watch, 1) == [("initial_value", "a", 0)]
        session.set("b", 1)
        session.set("b", 2)
        session.register("d", 0)
        assert seen(watch, 2) == [("initial_value", "b", 0), ("initial_value", "c", 0)]
        assert seen(watch, 3) == [
            ("value_change", "b", 1),
            ("value_change", "b", 2),
            ("registered", "d", 0),
        ]


def test_real_ends(cluster: Cluster, session: Any, client: Any) -> None:
    session.register("a", 0)
    with session.watch(initial=False) as watch:
        session.close()
        with pytest.raises(errors.SessionNotFoundError):
            next(watch)
    with pytest.raises(errors.SessionNotFoundError), client.session("s9").watch() as watch:
        next(watch)


def test_one_that_falls_behind_is_told_where_to_go_on(cluster: Cluster, session: Any) -> None:
    session.register("a", 0)
    first = cluster.bridges[0]
    first.break_after = 2
    trailers = {"error_kind": "fell_behind", "done": "no"}
    first.break_with = (grpc.StatusCode.ABORTED, "fell behind; go on after position 2", trailers)
    with session.watch() as watch:
        session.set("a", 1)
        session.set("a", 2)
        seen(watch, 2)
        with pytest.raises(errors.FellBehind) as caught:
            next(watch)
    assert caught.value.position == 2
    assert isinstance(caught.value, errors.Conflict)
    first.break_after = None
    with session.watch(after=caught.value.position) as watch:
        assert seen(watch, 1) == [("value_change", "a", 2)]


def test_a_cancelled_task_leaves_its_watch(cluster: Cluster) -> None:
    async def run() -> None:
        async with snakepit.connect_async(cluster.targets) as client:
            session = client.session("s1")
            async with session.watch() as watch:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(watch), 0.1)
            await session.put("a", 1)

    asyncio.run(run())


def test_closing_from_another_thread_ends_the_wait(cluster: Cluster) -> None:
    with snakepit.connect(cluster.targets) as client:
        watch = client.session("s1").watch()
        threading.Timer(0.1, watch.close).start()
        began = time.monotonic()
        assert list(watch) == []
        assert time.monotonic() - began < 5


def test_a_client_that_is_closed_ends_its_watches(cluster: Cluster, client: Any, session: Any) -> None:
    session.register("a", 1)
    watch = session.watch()
    assert next(watch).value == 1
    client.close()
    with pytest.raises(errors.Invalid, match="closed"):
        next(watch)


def test_no_node_for_too_long_is_an_error() -> None:
    now = [0.0]
    state = WatchState(Scope("s"), (), initial=True, after=None, budget_s=30, clock=lambda: now[0])
    error = errors.Unavailable("no node")
    error.__cause__ = _Status(grpc.StatusCode.UNAVAILABLE)
    assert state.broke(error) == 0
    for _ in range(20):
        assert 0 < state.broke(error) <= 0.5
        now[0] += 1.5
    with pytest.raises(errors.Unavailable):
        state.broke(error)
    # One that stood for a while has nothing to do with the failures before it.
    state.opened(0)
    now[0] += 60
    assert state.broke(error) == 0


class _Status(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


def test_what_was_passed_on_is_not_repeated() -> None:
    state = WatchState(Scope("s"), (), initial=False, after=7)

    def update(position: int) -> Any:
        return state.take(pb.VariableUpdate(position=position, update_type="value_change"))

    assert state.call().request.after_position == 7
    assert update(7) is None
    assert update(8).position == 8
    assert update(8) is None
    assert state.position == 8
    assert state.call().request.after_position == 8
