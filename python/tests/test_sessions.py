"""Sessions on both surfaces, against the fake bridge."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import snakepit
from snakepit import errors
from tests import surfaces
from tests.fake_node import FakeNode


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, node: FakeNode) -> Iterator[Any]:
    yield from surfaces.connect(request.param, f"unix:{node.socket}", principal="ada", timeout_s=10)


@pytest.fixture
def session(client: Any) -> Any:
    return client.create_session("s2", ttl_s=60, metadata={"team": "a"})


def test_variables(session: Any) -> None:
    assert session.register("x", 1.5, constraints={"min": 0}) == ("var_x_1", 1)
    assert session.set("x", 2.5, expected_version=1, metadata={"by": "hand"}) == 2
    read = session.variable("x")
    assert (read.value, read.version, read.constraints, read.metadata) == (2.5, 2, {"min": 0}, {"by": "hand"})
    assert session.put("x", 3.5) == 3
    assert session.put("y", "new") == 1
    assert (session.exists("y"), session.exists("z"), session.get("z", 1)) == (True, False, 1)
    session.delete("y")
    with pytest.raises(snakepit.VariableNotFoundError):
        session.get("y")


def test_change_and_update_of_one_retry_on_conflict(node: FakeNode, session: Any) -> None:
    session.register("n", 1)
    assert session.change("n", lambda n: n + 10) == 11
    seen: list[int] = []

    def another_writer() -> None:
        node.bridge.sessions["s2"]["n"].version += 1

    def race(n: int) -> int:
        if not seen:
            another_writer()
        seen.append(n)
        return n + 1

    assert session.update("n", race) == 12
    assert seen == [11, 11]
    with pytest.raises(TypeError, match="takes a function"):
        session.update("n")

    def always(n: int) -> int:
        another_writer()
        return n

    with pytest.raises(errors.Conflict):
        session.update("n", always, attempts=2)


def test_the_function_of_an_async_update_may_wait(node: FakeNode) -> None:
    async def run() -> None:
        async with snakepit.connect_async(f"unix:{node.socket}") as client:
            session = await client.create_session("s2")
            await session.put("n", 1)

            async def slowly(n: int) -> int:
                await asyncio.sleep(0.001)
                return n + 1

            assert await session.update("n", slowly) == 2
            assert [name async for name in session] == ["n"]

    asyncio.run(run())


def test_batches(session: Any) -> None:
    session.register("a", 1)
    session.register("b", b"\0")
    versions = session.update({"a": 2, "b": b"\1"})
    assert (versions, versions.errors) == ({"a": 2, "b": 2}, {})
    assert session.get_many("a", "b") == {"a": 2, "b": b"\1"}
    assert session.get_many("a", include_metadata=True)["a"].version == 2
    with pytest.raises(errors.Conflict):
        session.update({"a": 3, "b": b"\2"}, expected_versions={"a": 1})
    with pytest.raises(snakepit.VariableNotFoundError):
        session.update({"a": 3, "c": 1})
    assert session.get("a") == 2


def test_a_batch_that_is_not_atomic_says_what_failed(session: Any) -> None:
    session.register("a", 1)
    session.register("b", 1)
    versions = session.update({"a": 2, "b": 2, "c": 2}, atomic=False, expected_versions={"b": 7})
    assert versions == {"a": 2}
    assert {name: type(error) for name, error in versions.errors.items()} == {
        "b": errors.Conflict,
        "c": snakepit.VariableNotFoundError,
    }


def test_lists_are_paged(node: FakeNode, session: Any) -> None:
    for n in range(5):
        session.register(f"x{n}", n)
    node.bridge.metadata.clear()
    assert [variable.value for variable in session.list_variables("x*")] == [0, 1, 2, 3, 4]
    assert session.names() == [f"x{n}" for n in range(5)]
    assert list(session) == session.names()
    pages = iter(session.iter_variables(page_size=2))
    node.bridge.metadata.clear()
    assert [next(pages).name, next(pages).name] == ["x0", "x1"]
    assert len(node.bridge.metadata) == 1


def test_history_is_read_lazily(node: FakeNode, session: Any) -> None:
    session.register("x", 0)
    for n in range(1, 6):
        session.set("x", n)
    node.bridge.metadata.clear()
    versions = iter(session.history("x"))
    first = next(versions)
    assert (first.version, first.value, first.who, first.kind) == (6, 5, "ada", "value_change")
    assert (first.cause.principal, first.cause.node, first.rolled_back_to) == ("ada", 1, 0)
    assert len(node.bridge.metadata) == 1
    assert [version.value for version in versions] == [4, 3, 2, 1, 0]
    assert [version.version for version in session.history("x", limit=3)] == [6, 5, 4]
    assert [version.version for version in session.history("x", before=3)] == [2, 1]


def test_rollback(session: Any) -> None:
    session.register("x", 1)
    session.set("x", 2)
    back = session.rollback("x", 1, expected_version=2)
    assert (back.value, back.version) == (1, 3)
    newest = next(iter(session.history("x", limit=1)))
    assert (newest.kind, newest.rolled_back_to) == ("rollback", 1)
    with pytest.raises(errors.Conflict):
        session.rollback("x", 1, expected_version=2)
    with pytest.raises(errors.Invalid):
        session.rollback("x", 9)


def test_dependencies(session: Any) -> None:
    session.register("total", 1)
    session.register("part", 1)
    session.depend("total", "part", kind="requires")
    assert session.variable("total").dependencies == (snakepit.Dependency("part", "requires"),)
    with pytest.raises(errors.Refused, match="a cycle"):
        session.depend("part", "total")
    with pytest.raises(errors.Refused, match="required"):
        session.delete("part")
    assert session.undepend("total", "part")
    assert not session.undepend("total", "part")
    session.delete("part")


def test_access(session: Any) -> None:
    rules = {"read": {"principals": ["bob"]}}
    session.register("x", 1, access=rules)
    with pytest.raises(errors.Denied) as caught:
        session.get("x")
    assert isinstance(caught.value, PermissionError)
    assert isinstance(caught.value, errors.Refused)
    session.set_access("x", {"write": {"principals": ["ada"]}})
    assert session.variable("x").access == {"write": {"principals": ["ada"]}}
    session.set_access("x", None)
    assert session.variable("x").access == {}


def test_an_optimization_holds_the_variable(node: FakeNode, client: Any, session: Any) -> None:
    session.register("t", 0.5)
    with session.optimize("t", optimizer_id="me", lease_s=1.5, config={"trials": "3"}) as held:
        assert (held.value, held.version, held.id, held.optimizer_id) == (0.5, 1, "o-me", "me")
        lock = session.variable("t").lock
        assert (lock.optimizer_id, lock.config) == ("me", {"trials": "3"})
        with pytest.raises(errors.Refused, match="locked"):
            session.set("t", 0.6)
        assert type(session.update({"t": 1.0}, atomic=False).errors["t"]) is errors.Refused
        with pytest.raises(errors.Refused):
            session.close()
        assert held.set(0.7) == 2
        assert node.bridge.metadata[-1][1]["x-snakepit-optimization-id"] == "o-me"
        before = held.expires_at
        assert (held.renew() - before).total_seconds() == 1.5
        assert (held.value, held.version) == (0.7, 2)
    assert held.value == 0.7
    assert session.variable("t").lock is None
    assert session.set("t", 0.6) == 3
    with pytest.raises(errors.Refused, match="no optimization"):
        held.set(1)


def test_an_optimization_ends_with_an_error_in_its_block(session: Any) -> None:
    session.register("t", 0.5)
    with pytest.raises(ZeroDivisionError), session.optimize("t"):
        raise ZeroDivisionError
    assert session.variable("t").lock is None
    started = session.start_optimization("t", optimizer_id="me")
    with pytest.raises(errors.Refused):
        session.stop_optimization("t")
    assert session.stop_optimization("t", started.id) == 0.5
    session.start_optimization("t", optimizer_id="me")
    assert session.stop_optimization("t", force=True) == 0.5


def test_programs(client: Any, session: Any) -> None:
    for programs in (session.programs, client.programs):
        assert programs.put("p", {"code": "1 + 1"}, metadata={"lang": "py"}, expected_version=0) == 1
        assert programs.put("p", {"code": "2"}, expected_version=1) == 2
        with pytest.raises(errors.Conflict):
            programs.put("p", 3, expected_version=1)
        assert programs.get("p") == {"code": "2"}
        programs.put("q", b"\0", ttl_s=60)
        programs.put("r", None)
        assert [program.id for program in programs.list()] == ["p", "q", "r"]
        assert [program.value for program in programs.list("q*")] == [b"\0"]
        assert list(programs) == ["p", "q", "r"]
        assert programs.delete("r")
        assert not programs.delete("r")
        assert (programs.exists("p"), programs.exists("r"), programs.get("r", 5)) == (True, False, 5)
        with pytest.raises(errors.ProgramNotFoundError):
            programs.get("r")
    assert session.programs.program("q").expires_at is None
    expires_at = client.programs.program("q").expires_at
    assert expires_at is not None
    assert expires_at.timestamp() == 60


def test_sessions_are_listed_with_filters(client: Any) -> None:
    for n in range(3):
        client.create_session(f"job-{n}", metadata={"n": str(n)}, enable_caching=True, cache_ttl_s=3)
    assert [info.id for info in client.sessions("job-*")] == ["job-0", "job-1", "job-2"]
    found = list(client.sessions(metadata={"n": "1"}))
    assert [(info.id, info.enable_caching, info.cache_ttl_s) for info in found] == [("job-1", True, 3)]


def test_the_session_itself(client: Any, session: Any) -> None:
    session.register("x", 1)
    session.set("x", 2)
    info = session.info()
    assert (info.id, info.ttl_s, info.variables, info.updates) == ("s2", 60, 1, 2)
    assert info.metadata == {"team": "a"}
    assert session.touch()
    assert session.close()
    assert not session.close()
    assert not session.touch()
    with pytest.raises(errors.SessionNotFoundError):
        session.get("x")
    with pytest.raises(errors.Invalid):
        client.session("").get("x")


def test_export_and_import(client: Any, session: Any, tmp_path: Path) -> None:
    session.register("m", {"a": [1, 2.5, "ä"]}, constraints={"x": 1}, access={"watch": {}})
    session.register("b", b"\0\1")
    session.register("big", 2**70)
    session.programs.put("p", b"code", metadata={"k": "v"})
    document = session.export()
    assert document["format"] == 1
    assert document["config"] == {"ttl_seconds": 60}
    assert document["created_at"] == "1970-01-01T00:00:01.005Z"
    assert document["revision"] == 3
    values = {variable["name"]: variable["value"] for variable in document["variables"]}
    assert values == {
        "m": {"type": "map", "json": {"a": [1, 2.5, "ä"]}},
        "b": {"type": "bytes", "binary": "AAE="},
        "big": {"type": "integer", "json": 2**70},
    }
    snakepit.write_document(document, tmp_path / "s.json")
    read = snakepit.read_document(tmp_path / "s.json")
    assert read == document
    copied = client.import_session(read, "copy")
    assert copied.get_many("m", "b", "big") == session.get_many("m", "b", "big")
    assert copied.variable("m").access == {"watch": {}}
    assert copied.programs.get("p") == b"code"
    again = copied.export()
    assert [v["value"] for v in again["variables"]] == [v["value"] for v in document["variables"]]
    with pytest.raises(errors.AlreadyExists):
        client.import_session(document)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"variables": [{"name": "x", "value": 5}]},
        {"variables": [{"name": "x", "value": {"type": "bytes", "binary": "?"}}]},
        {"variables": 5},
        {"unknown": 1},
    ],
)
def test_what_is_no_document_is_refused(client: Any, change: dict[str, Any]) -> None:
    with pytest.raises(errors.Invalid):
        client.import_session({"format": 1, "session_id": "s", **change})


def test_a_retry_keeps_the_request_id(node: FakeNode, session: Any) -> None:
    session.register("x", 1)
    node.bridge.metadata.clear()
    node.bridge.fail_next = [
        (grpc.StatusCode.UNAVAILABLE, "no leader"),
        (grpc.StatusCode.UNKNOWN, "lost after proposing"),
    ]
    assert session.set("x", 2) == 2
    sent = [metadata for _, metadata in node.bridge.metadata]
    assert len({metadata["x-snakepit-request-id"] for metadata in sent}) == 1
    assert [metadata["x-snakepit-arrays"] for metadata in sent] == ["raw"] * 3
    assert [metadata["x-snakepit-principal"] for metadata in sent] == ["ada"] * 3


def test_what_the_node_says_goes_before_the_status(node: FakeNode, session: Any) -> None:
    node.bridge.fail_next = [
        (grpc.StatusCode.FAILED_PRECONDITION, "over", {"error_kind": "exhausted", "done": "maybe"})
    ]
    with pytest.raises(errors.Exhausted) as caught:
        session.get("x")
    assert caught.value.maybe_done


def test_options(node: FakeNode, session: Any) -> None:
    session.register("x", 1)
    assert session.with_options(consistency="stale", timeout_s=5).get("x") == 1
    assert node.bridge.metadata[-1][1]["x-snakepit-consistency"] == "stale"
    session.get("x")
    assert "x-snakepit-consistency" not in node.bridge.metadata[-1][1]
    with pytest.raises(errors.Invalid, match="not known"):
        session.with_options(consistency="eventual")


def test_tools(node: FakeNode, client: Any, session: Any) -> None:
    from snakepit import _values
    from snakepit._proto import snakepit_bridge_pb2 as pb

    def ok(request: pb.ExecuteToolRequest) -> pb.ExecuteToolResponse:
        value, _ = _values.encode([request.session_id, _values.decode(request.parameters["n"])])
        return pb.ExecuteToolResponse(success=True, result=value, node_id=3)

    node.bridge.tools["ok"] = ok
    assert client.call("ok", session, n=5).value == ["s2", 5]
    assert list(client.stream("count")) == [0, 1, 2]
    with pytest.raises(errors.Unavailable), contextlib.closing(client.stream("breaks")) as chunks:
        list(chunks)
    with pytest.raises(snakepit.ToolError, match="half way"):
        list(client.stream("raises"))
    assert client.ping("hello") == "hello"


def test_attributes(node: FakeNode) -> None:
    with snakepit.connect(f"unix:{node.socket}") as client:
        session = client.create_session("s2")
        session.v.x = 1
        session.v.x += 1
        assert (session.v.x, session["x"]) == (2, 2)
        assert dir(session.v) == ["x"]
        assert repr(session.v) == "Session('s2').v"
        del session.v.x
        with pytest.raises(AttributeError, match="no variable x"):
            session.v.x  # noqa: B018
        with pytest.raises(AttributeError):
            del session.v.x
        assert not hasattr(session.v, "__deepcopy__")
        assert copy.copy(session).id == "s2"


def test_programs_as_a_mapping(node: FakeNode) -> None:
    with snakepit.connect(f"unix:{node.socket}") as client:
        programs = client.create_session("s2").programs
        programs["p"] = [1]
        assert (programs["p"], "p" in programs, "q" in programs, len(programs)) == ([1], True, False, 1)
        del programs["p"]
        with pytest.raises(KeyError):
            del programs["p"]
        with pytest.raises(errors.Invalid):
            client.session("").programs  # noqa: B018
