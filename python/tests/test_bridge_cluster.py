"""Scripts and adapters written for Snakepit against real nodes. Needs SNAKEPIT_BIN."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import snakepit_bridge_pb2 as pb
from snakepit import _values
from snakepit_bridge import SessionContext, VariableNotFoundError, VariableType
from tests.bridge_cluster import BIN, Cluster, eventually

pytestmark = pytest.mark.skipif(not BIN, reason="SNAKEPIT_BIN does not name the snakepit program")


@pytest.fixture(scope="module")
def old() -> Iterator[Cluster]:
    yield from _cluster("tests.bridge_adapters.Thermostat")


@pytest.fixture(scope="module")
def new() -> Iterator[Cluster]:
    yield from _cluster("tests.bridge_adapters_013.OnlyTools")


def _cluster(adapter: str) -> Iterator[Cluster]:
    cluster = Cluster(adapter)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex}"


def make(stub: Any, session: str) -> SessionContext:
    answer = stub.InitializeSession(pb.InitializeSessionRequest(session_id=session), timeout=20)
    assert answer.success
    return SessionContext(stub, session)


def request(
    tool: str, session: str = "", metadata: dict[str, str] | None = None, /, **arguments: Any
) -> pb.ExecuteToolRequest:
    made = pb.ExecuteToolRequest(session_id=session, tool_name=tool, metadata=metadata or {})
    for name, value in arguments.items():
        encoded, payload = _values.encode(value)
        made.parameters[name].CopyFrom(encoded)
        if payload is not None:
            made.binary_parameters[name] = payload
    return made


def value_of(answer: Any) -> Any:
    assert answer.success, answer.error_message
    return _values.decode(answer.result, answer.binary_result or None)


def execute(stub: Any, tool: str, session: str = "", /, **arguments: Any) -> Any:
    return value_of(stub.ExecuteTool(request(tool, session, **arguments), timeout=20))


@pytest.mark.parametrize(
    ("kind", "value", "back"),
    [
        (VariableType.FLOAT, 1, 1.0),
        (VariableType.FLOAT, math.inf, math.inf),
        (VariableType.INTEGER, 2**80, 2**80),
        (VariableType.STRING, "ä", "ä"),
        (VariableType.BOOLEAN, True, True),
        (VariableType.CHOICE, "a", "a"),
        (VariableType.MODULE, "m", "m"),
        (VariableType.EMBEDDING, [1.0, 0.5], [1.0, 0.5]),
        (VariableType.EMBEDDING, [0.5] * 3000, [0.5] * 3000),
        (VariableType.TENSOR, [[1, 2], [3, 4]], {"shape": [2, 2], "data": [1, 2, 3, 4]}),
        (VariableType.MAP, {"a": [1, None, {"b": 0.5}]}, {"a": [1, None, {"b": 0.5}]}),
        (VariableType.LIST, [1, "x", None], [1, "x", None]),
        (VariableType.NULL, None, None),
        (VariableType.BYTES, b"\0\xff", b"\0\xff"),
    ],
)
def test_every_type_on_every_node(
    old: Cluster, session: str, kind: VariableType, value: Any, back: Any
) -> None:
    ctx = make(old.stub(0), session)
    assert ctx.register_variable("x", kind, value).startswith("var_x_")
    for node in range(3):
        found = SessionContext(old.stub(node), session)["x"]
        assert found == back
        assert type(found) is type(back)
    ctx["x"] = value
    assert SessionContext(old.stub(1), session).get_variables(["x"])["x"] == back


def test_a_script_of_04(old: Cluster, session: str) -> None:
    with make(old.stub(0), session) as ctx:
        ctx.register_variable("rate", "float", 0.5, constraints={"min": 0, "max": 1}, metadata={"unit": "1"})
        with pytest.raises(ValueError, match="above maximum"):
            ctx["rate"] = 2
        with pytest.raises(ValueError, match="below minimum"):
            ctx.update_variable("rate", -1)
        with pytest.raises(VariableNotFoundError, match="not found"):
            ctx.get_variable("nothing")
        with pytest.raises(VariableNotFoundError):
            SessionContext(ctx.stub, session, strict_mode=True)["nothing"] = 1
        ctx["count"] = 1
        ctx["name"] = "x"
        ctx["none"] = None
        ctx["count"] = "2"
        ctx["name"] = 7
        assert (ctx["count"], ctx.v.name, ctx["none"]) == (2, "7", None)
        results = ctx.update_variables({"rate": 5, "count": 3, "nothing": 1})
        assert results["count"] is True
        assert "above maximum" in str(results["rate"])
        assert "not found" in str(results["nothing"])
        assert ctx.update_variables({"rate": 5, "count": 4}, atomic=True)["count"] is not True
        assert ctx["count"] == 3
        with pytest.raises(ValueError, match="above maximum"), ctx.batch_updates() as batch:
            batch["rate"] = 9
        listed = {item["name"]: item for item in ctx.list_variables()}
        assert sorted(listed) == ["count", "name", "none", "rate"]
        assert listed["rate"]["metadata"]["unit"] == "1"
        assert [item["name"] for item in ctx.list_variables("n*")] == ["name", "none"]
        ctx.delete_variable("none")
        assert "none" not in ctx
    with pytest.raises(grpc.RpcError) as caught:
        old.stub(1).GetSession(pb.GetSessionRequest(session_id=session), timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_an_adapter_of_04(old: Cluster, session: str) -> None:
    stubs = [old.stub(node) for node in range(3)]
    make(stubs[0], session)
    eventually(lambda: execute(stubs[0], "values", session))
    for number, stub in enumerate(stubs):
        heated = execute(stub, "heat", session, to=20 + number)
        assert heated == {"temperature": 20.0 + number, "heated": True, "session": session}
    assert SessionContext(stubs[2], session)["temperature"] == 22.0
    failed = stubs[1].ExecuteTool(request("heat", session, to=99), timeout=20)
    assert not failed.success
    assert "above maximum" in failed.error_message
    assert execute(stubs[1], "missing", session).startswith("caught: ")
    assert execute(stubs[2], "batch", session) == [2, [3], 2]
    assert execute(stubs[0], "values", session)["int"] == 2**70
    assert execute(stubs[0], "raw_stub", session)[0] == "NOT_FOUND"
    assert execute(stubs[0], "argument", session, value=b"\0\xff") == b"\0\xff"


def test_streams_of_04(old: Cluster, session: str) -> None:
    stub = old.stub(1)
    make(stub, session)
    eventually(lambda: execute(stub, "values", session))
    chunks = list(stub.ExecuteStreamingTool(request("stream", session, count=200), timeout=30))
    data = [json.loads(chunk.data) for chunk in chunks if chunk.data]
    assert data == [{"n": number} for number in range(200)]
    assert chunks[-1].is_final


def test_an_adapter_of_013(new: Cluster, session: str) -> None:
    stub = new.stub(0)
    make(stub, session)
    total = eventually(lambda: execute(stub, "add", session, a=2, b=3))
    assert (total, type(total)) == (5, int)
    assert execute(stub, "nothing", session) is None
    assert execute(stub, "just_bytes", session) == b"\0\xff"
    assert execute(stub, "just_object", session) == {"kind": "model", "when": "2024-01-02"}
    assert execute(stub, "remember", session, name="m", value={"a": [1, None]}) == {"a": [1, None]}
    told = value_of(stub.ExecuteTool(request("whoami", session, {"correlation_id": "c1"}), timeout=20))
    assert (told["session_id"], told["correlation"]) == (session, "c1")
    failed = stub.ExecuteTool(request("fail", session), timeout=20)
    assert (failed.success, failed.error.type, failed.error.message) == (False, "RuntimeError", "as asked")


def test_async_streams_of_013(new: Cluster, session: str) -> None:
    stub = new.stub(2)
    make(stub, session)
    eventually(lambda: execute(stub, "add", session, a=1, b=1))
    chunks = list(stub.ExecuteStreamingTool(request("stream", session, count=3), timeout=20))
    data = [json.loads(chunk.data) for chunk in chunks if chunk.data]
    assert data == [{"n": number, "point": {"x": number, "y": 0}} for number in range(3)]


def test_tools_call_tools(new: Cluster, session: str) -> None:
    stub = new.stub(0)
    ctx = make(stub, session)
    eventually(lambda: execute(stub, "add", session, a=1, b=1))
    assert {"add", "relay"} <= set(ctx.elixir_tools)
    assert ctx.elixir_tools["add"](a=1, b=2) == 3
    assert ctx.call_elixir_tool("add", a=4, b=2**70) == 2**70 + 4
    assert ctx.call_tool("add", a=1, b=1) == 2
    assert execute(stub, "relay", session, tool="add", arguments={"a": 5, "b": 6}) == 11
    with pytest.raises(RuntimeError, match="as asked"):
        ctx.call_elixir_tool("fail")
