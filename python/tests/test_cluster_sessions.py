"""The SDK against real nodes: what docs/bridge.md, docs/values.md and docs/access.md promise."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit import errors
from tests import surfaces
from tests.cluster import Cluster


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Any]:
    # Spread: each call at another node than the one before.
    yield from surfaces.connect(request.param, cluster.endpoints, principal="ada", spread=True)


@pytest.fixture
def session(client: Any) -> Any:
    return client.create_session(f"s-{uuid.uuid4()}", ttl_s=600, metadata={"team": "a"})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, "float"),
        (math.inf, "float"),
        (2**70, "integer"),
        ("grüße", "string"),
        (True, "boolean"),
        (None, "null"),
        (b"\0\1", "bytes"),
        ([1, "a", None, b"x", math.inf], "list"),
        ({"b": 1, "a": {"c": [1.5]}}, "map"),
    ],
)
def test_values_of_all_types(session: Any, value: Any, kind: str) -> None:
    session.put("x", value)
    read = session.variable("x")
    assert (read.type, read.value, type(read.value)) == (kind, value, type(value))
    if kind == "map":
        assert list(read.value) == ["b", "a"]
    assert [version.value for version in session.history("x")] == [value]


@pytest.mark.parametrize(
    "dtype",
    [
        *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "bool"),
    ],
)
def test_arrays_come_back_bit_by_bit(session: Any, dtype: str) -> None:
    random = np.random.default_rng(7)
    content = random.bytes(6 * np.dtype(dtype).itemsize)
    value = np.frombuffer(content, dtype) if dtype != "bool" else random.random(6) > 0.5
    value = value.reshape(2, 3)
    session.put("t", value)
    read = session.get("t")
    assert (read.dtype, read.shape, read.tobytes()) == (value.dtype, value.shape, value.tobytes())
    assert session.get_many("t")["t"].tobytes() == value.tobytes()
    if dtype != "bool":
        session.register("e", value[0], type="embedding", constraints={"dimensions": 3})
        assert session.get("e").tobytes() == value[0].tobytes()
        with pytest.raises(errors.Invalid):
            session.set("e", np.zeros(4))
        session.set("e", [1, 2, 3])
        assert session.get("e").tolist() == [1, 2, 3]


def test_types_and_constraints(session: Any) -> None:
    session.register("f", 0.5, constraints={"min": 0, "max": 1})
    with pytest.raises(errors.Invalid, match="above maximum"):
        session.set("f", 2.0)
    with pytest.raises(errors.AlreadyExists):
        session.register("f", "text")
    again = session.register("f", 0.25)
    assert again.version == 2
    session.register("c", "a", type="choice", constraints={"choices": ["a", "b"]})
    session.set("c", "b")
    with pytest.raises(errors.Invalid):
        session.set("c", "z")
    session.register("t", [[1, 2], [3, 4]], type="tensor", constraints={"shape": [2, 2]})
    assert session.get("t").tolist() == [[1, 2], [3, 4]]


def test_compare_and_set_and_update_by_a_function(session: Any) -> None:
    session.register("n", 1)
    assert session.set("n", 2, expected_version=1) == 2
    with pytest.raises(errors.Conflict) as caught:
        session.set("n", 3, expected_version=1)
    assert not caught.value.maybe_done
    assert session.update("n", lambda n: n + 40) == 42


def test_batches(session: Any) -> None:
    session.register("a", 1, constraints={"max": 5})
    session.register("b", np.zeros(3))
    assert session.update({"a": 2, "b": np.ones(3)}) == {"a": 2, "b": 2}
    with pytest.raises(errors.SnakepitError):
        session.update({"a": 9, "b": np.zeros(3)})
    with pytest.raises(errors.Conflict):
        session.update({"a": 3}, expected_versions={"a": 1})
    assert session.get("b").tolist() == [1, 1, 1]
    versions = session.update({"a": 9, "b": np.zeros(3), "c": 1}, atomic=False)
    assert versions == {"b": 3}
    assert sorted(versions.errors) == ["a", "c"]
    assert isinstance(versions.errors["c"], errors.NotFound)
    many = session.get_many("a", "b", include_metadata=True)
    assert (many["a"].version, many["a"].constraints) == (2, {"max": 5})
    with pytest.raises(snakepit.VariableNotFoundError, match="c, d"):
        session.get_many("a", "c", "d")


def test_lists(session: Any) -> None:
    for n in range(7):
        session.register(f"x{n}", n)
    session.register("y", 1)
    assert session.names("x*") == [f"x{n}" for n in range(7)]
    assert session.names("x?") == [f"x{n}" for n in range(7)]
    assert [v.value for v in session.iter_variables("x*", page_size=3)] == list(range(7))
    session.delete("y")
    assert not session.exists("y")


def test_history_and_rollback(session: Any) -> None:
    session.register("x", 0, metadata={"unit": "m"})
    for n in range(1, 250):
        session.set("x", n)
    versions = list(session.history("x"))
    assert [version.value for version in versions] == list(range(249, -1, -1))
    assert [version.version for version in versions] == list(range(250, 0, -1))
    assert {version.who for version in versions} == {"ada"}
    assert versions[-1].kind == "registered"
    assert all(version.cause.request_id for version in versions)
    assert [version.version for version in session.history("x", limit=2, before=10)] == [9, 8]
    back = session.rollback("x", 3, metadata={"why": "better"})
    assert (back.value, back.version) == (2, 251)
    newest = next(iter(session.history("x", limit=1)))
    assert (newest.kind, newest.rolled_back_to, newest.metadata) == ("rollback", 3, {"why": "better"})
    with pytest.raises(errors.Conflict):
        session.rollback("x", 3, expected_version=1)


def test_a_rollback_is_held_to_the_constraints_of_today(session: Any) -> None:
    session.register("x", 10)
    session.register("x", 1, constraints={"max": 5})
    with pytest.raises(errors.Invalid):
        session.rollback("x", 1)


def test_dependencies(session: Any) -> None:
    for name in "abc":
        session.register(name, 1)
    session.depend("a", "b")
    session.depend("b", "c", kind="requires")
    assert session.variable("b").dependencies == (snakepit.Dependency("c", "requires"),)
    assert session.variable("b").dependents == (snakepit.Dependency("a", "derives"),)
    with pytest.raises(errors.Refused):
        session.depend("c", "a")
    with pytest.raises(errors.Refused):
        session.delete("c")
    assert session.undepend("b", "c")
    assert not session.undepend("b", "c")
    session.delete("c")


def test_optimizations(client: Any, session: Any) -> None:
    session.register("t", 0.5)
    with session.optimize("t", optimizer_id="me", lease_s=20, config={"trials": "3"}) as held:
        assert held.value == 0.5
        with pytest.raises(errors.Refused):
            session.set("t", 0.6)
        with pytest.raises(errors.Refused):
            session.update({"t": 0.6})
        with pytest.raises(errors.Refused), session.optimize("t", optimizer_id="you"):
            pass
        lock = session.variable("t").lock
        assert lock is not None
        assert (lock.optimizer_id, lock.config) == ("me", {"trials": "3"})
        assert session.info().locks == 1
        held.set(0.7)
        assert held.renew() >= lock.expires_at
    assert held.value == 0.7
    assert session.set("t", 0.8) == 3
    started = session.start_optimization("t", optimizer_id="me")
    assert session.start_optimization("t", optimizer_id="me").id == started.id
    assert session.stop_optimization("t", force=True) == 0.8


def test_access(cluster: Cluster, client: Any, session: Any) -> None:
    rules = {"read": {"principals": ["ada"]}, "write": {"principals": ["a*"]}}
    session.register("secret", 1, access=rules)
    assert session.variable("secret").access == rules
    with snakepit.connect(cluster.endpoints, principal="eve") as other:
        theirs = other.session(session.id)
        for attempt in (
            lambda: theirs.get("secret"),
            lambda: theirs.set("secret", 2),
            lambda: list(theirs.history("secret")),
            lambda: theirs.delete("secret"),
            lambda: theirs.set_access("secret", None),
        ):
            with pytest.raises(errors.Denied):
                attempt()
        assert theirs.names() == []
        session.set_access("secret", None)
        assert theirs.get("secret") == 1


def test_programs(client: Any, session: Any) -> None:
    mark = str(uuid.uuid4())
    for programs in (session.programs, client.programs):
        assert programs.put(f"{mark}-p", {"code": "1 + 1"}, metadata={"lang": "py"}) == 1
        assert programs.put(f"{mark}-p", np.arange(3), expected_version=1) == 2
        with pytest.raises(errors.Conflict):
            programs.put(f"{mark}-p", 3, expected_version=1)
        assert programs.get(f"{mark}-p").tolist() == [0, 1, 2]
        assert [program.version for program in programs.list(f"{mark}*")] == [2]
        assert programs.delete(f"{mark}-p")
        with pytest.raises(errors.ProgramNotFoundError):
            programs.get(f"{mark}-p")


def test_sessions(client: Any, session: Any) -> None:
    session.register("x", 1)
    info = session.info()
    assert (info.ttl_s, info.variables, info.updates, info.metadata) == (600, 1, 1, {"team": "a"})
    assert [found.id for found in client.sessions(session.id)] == [session.id]
    assert session.id in [found.id for found in client.sessions("s-*", metadata={"team": "a"}, page_size=2)]
    assert list(client.sessions(session.id, metadata={"team": "b"})) == []
    assert list(client.sessions(session.id, idle_s=500)) == []
    assert session.touch()
    assert session.close()
    assert not session.close()
    assert not session.touch()
    with pytest.raises(errors.SessionNotFoundError):
        session.get("x")


def test_a_session_with_a_cache(client: Any) -> None:
    session = client.create_session(f"s-{uuid.uuid4()}", enable_caching=True, cache_ttl_s=2)
    session.register("x", 1)
    info = session.info()
    assert (info.enable_caching, info.cache_ttl_s) == (True, 2)
    session.set("x", 2)
    assert session.variable("x", bypass_cache=True).value == 2
    assert session.with_options(consistency="linearizable").get("x") == 2


def test_export_and_import(client: Any, session: Any, tmp_path: Path) -> None:
    session.register("m", {"a": [1, 2.5, "ä"]}, access={"watch": {"principals": ["ada"]}})
    session.register("b", b"\0\1", metadata={"k": "v"})
    session.register("t", np.array([[1, 2]], dtype=np.float32))
    session.register("n", 5, constraints={"max": 9})
    session.depend("n", "b", kind="requires")
    session.programs.put("p", {"code": 1})
    snakepit.write_document(session.export(), tmp_path / "s.json")
    document = snakepit.read_document(tmp_path / "s.json")
    assert (document["format"], document["session_id"]) == (1, session.id)
    copied = client.import_session(document, f"{session.id}-copy")
    assert copied.get("m") == {"a": [1, 2.5, "ä"]}
    assert copied.get("t").dtype == np.float32
    assert copied.variable("n").dependencies == (snakepit.Dependency("b", "requires"),)
    assert copied.variable("b").metadata["k"] == "v"
    assert copied.programs.get("p") == {"code": 1}
    with pytest.raises(errors.Invalid):
        copied.set("n", 10)
    assert [v["value"] for v in copied.export()["variables"]] == [v["value"] for v in document["variables"]]
    with pytest.raises(errors.AlreadyExists):
        client.import_session(document)
