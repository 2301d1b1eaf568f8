"""`SessionContext` over a plain channel, as scripts of both generations use it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import numpy
import pytest

import snakepit
import snakepit_bridge_pb2 as pb
import snakepit_bridge_pb2_grpc as service
from snakepit_bridge import SessionContext, VariableNotFoundError, VariableProxy, VariableType
from tests.bridge_server import BridgeServer


@pytest.fixture
def server() -> Iterator[BridgeServer]:
    server = BridgeServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def stub(server: BridgeServer) -> Iterator[Any]:
    with grpc.insecure_channel(server.address) as channel:
        yield service.BridgeServiceStub(channel)


@pytest.fixture
def ctx(stub: Any) -> SessionContext:
    return SessionContext(stub, "s1")


def test_both_constructors(stub: Any) -> None:
    assert SessionContext(stub, "s1", True).strict_mode
    assert SessionContext(stub, "s1", strict_mode=True).strict_mode
    for newer in (
        SessionContext(stub, "s1", {"k": "v"}),
        SessionContext(stub, "s1", request_metadata={"k": "v"}),
    ):
        assert newer.request_metadata == {"k": "v"}
        assert not newer.strict_mode
    assert SessionContext(stub, "s1", None).request_metadata == {}


def test_nothing_is_asked_before_it_is_needed(server: BridgeServer, stub: Any) -> None:
    ctx = SessionContext(stub, "s1")
    assert repr(ctx.elixir_tools) == "RemoteTools(...)"
    assert not server.calls


@pytest.mark.parametrize(
    ("var_type", "value", "back"),
    [
        ("float", 2, 2.0),
        (VariableType.FLOAT, "inf", math.inf),
        (VariableType.INTEGER, 2**80, 2**80),
        (VariableType.INTEGER, "12", 12),
        ("string", 5, "5"),
        (VariableType.BOOLEAN, "TRUE", True),
        (VariableType.CHOICE, "a", "a"),
        ("embedding", [1, 2.5], [1.0, 2.5]),
        ("embedding", array("d", [1.0, 2.0]), [1.0, 2.0]),
        ("tensor", [[1, 2], [3, 4]], {"shape": [2, 2], "data": [1, 2, 3, 4]}),
        ("tensor", {"shape": [2, 1], "data": [[1.5], [2.5]]}, {"shape": [2, 1], "data": [1.5, 2.5]}),
        ("tensor", numpy.ones((2, 2), "float32"), {"shape": [2, 2], "data": [1.0] * 4}),
        ("embedding", [0.5] * 2000, [0.5] * 2000),
        (VariableType.MAP, {"a": [1, None, {"b": math.inf}]}, {"a": [1, None, {"b": math.inf}]}),
        (VariableType.LIST, (1, "x"), [1, "x"]),
        (VariableType.NULL, None, None),
        (VariableType.BYTES, b"\0\xff", b"\0\xff"),
    ],
)
def test_all_types_are_registered_and_read(ctx: SessionContext, var_type: Any, value: Any, back: Any) -> None:
    variable_id = ctx.register_variable("x", var_type, value)
    assert variable_id.startswith("var_x_")
    for found in (ctx.get_variable("x"), ctx["x"], ctx.v.x, ctx.get_variable(variable_id)):
        assert found == back
        assert type(found) is type(back)
    assert ctx.list_variables()[0]["value"] == back
    ctx.update_variable("x", value)
    ctx.clear_cache()
    assert ctx["x"] == back


def test_large_arrays_go_raw(server: BridgeServer, ctx: SessionContext) -> None:
    ctx.register_variable("e", "embedding", [0.25] * 1281)
    sent = server.requests["RegisterVariable"]
    assert sent.initial_value.type_url.endswith("snakepit.embedding.binary")
    assert b'"binary_format": "raw"' in sent.initial_value.value
    assert len(sent.initial_binary_value) == 1281 * 8
    ctx.register_variable("small", "embedding", [0.25] * 1280)
    assert not server.requests["RegisterVariable"].initial_binary_value
    assert ctx["e"] == [0.25] * 1281
    assert server.metadata["GetVariable"]["x-snakepit-arrays"] == "raw"


def test_values_take_the_variables_type(server: BridgeServer, stub: Any) -> None:
    first = SessionContext(stub, "s1")
    for name, kind, value in (
        ("s", "string", ""),
        ("i", "integer", 0),
        ("f", "float", 0),
        ("b", "boolean", False),
    ):
        first.register_variable(name, kind, value)
    first.register_variable("t", "tensor", [[1]])
    other = SessionContext(stub, "s1")
    # Of its type by itself: one round trip.
    other.update_variable("i", 7)
    assert server.calls["GetVariable"] == 0
    for name, value, back in (("s", 5, "5"), ("i", "8", 8), ("f", True, 1.0), ("b", "True", True)):
        other[name] = value
        assert other[name] == back
    other["t"] = [[1, 2]]
    assert other["t"] == {"shape": [1, 2], "data": [1, 2]}
    fresh = SessionContext(stub, "s1")
    assert fresh.update_variables({"s": 9, "i": "3", "f": 1}) == {"s": True, "i": True, "f": True}
    assert fresh.get_variables(["s", "i", "f"]) == {"s": "9", "i": 3, "f": 1.0}


def test_assigning_registers(server: BridgeServer, ctx: SessionContext) -> None:
    values: dict[str, Any] = {"n": None, "i": 1, "f": 1.5, "s": "x", "m": {"a": 1}, "l": [1], "b": True}
    for name, value in values.items():
        ctx[name] = value
    kinds = {item["name"]: item["type"] for item in ctx.list_variables()}
    assert kinds == {
        "n": "null", "i": "integer", "f": "float", "s": "string", "m": "map", "l": "list", "b": "boolean",
    }  # fmt: skip
    assert ctx.get_variables(list(values)) == values
    ctx.v.later = 3
    assert ctx.v.later == 3


def test_strict_mode_registers_nothing(stub: Any) -> None:
    ctx = SessionContext(stub, "s1", True)
    with pytest.raises(VariableNotFoundError, match="not found"):
        ctx["x"] = 1
    assert "x" not in ctx


def test_what_is_missing(ctx: SessionContext) -> None:
    for missing in (
        lambda: ctx["x"],
        lambda: ctx.get_variable("x"),
        lambda: ctx.get_variables(["x"]),
        lambda: ctx.update_variable("x", 1),
        lambda: ctx.delete_variable("x"),
        lambda: ctx.variable("x").value,
    ):
        with pytest.raises(VariableNotFoundError, match="not found") as caught:
            missing()
        assert isinstance(caught.value, KeyError)
    assert "x" not in ctx
    assert 5 not in ctx


def test_a_missing_session_is_not_registered_in(server: BridgeServer, stub: Any) -> None:
    ctx = SessionContext(stub, "gone")
    with pytest.raises(VariableNotFoundError, match="Session not found") as caught:
        ctx["x"] = 1
    assert isinstance(caught.value, snakepit.errors.SessionNotFoundError)
    assert server.calls["RegisterVariable"] == 0


def test_constraints_are_value_errors(ctx: SessionContext) -> None:
    ctx.register_variable("t", "float", 0.5, constraints={"min": 0, "max": 1})
    with pytest.raises(ValueError, match="above maximum") as caught:
        ctx.update_variable("t", 2.0)
    error: Any = caught.value
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(ValueError, match="below minimum"):
        ctx["t"] = -1
    with pytest.raises(ValueError, match="above maximum"):
        ctx.register_variable("u", "integer", 5, {"max": 4})
    with pytest.raises(ValueError, match="Unknown type: foo"):
        ctx.register_variable("w", "foo", 5)
    with pytest.raises(ValueError, match="whole number"):
        ctx.register_variable("w", "integer", 1.5)
    assert ctx["t"] == 0.5


def test_other_failures_are_of_both_kinds(server: BridgeServer, ctx: SessionContext) -> None:
    server.fail["GetVariable"] = (grpc.StatusCode.UNAVAILABLE, "no leader")
    with pytest.raises(snakepit.errors.Unavailable, match="no leader") as caught:
        ctx.get_variable("x")
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "no leader")


def test_the_cache_lives_with_the_context(server: BridgeServer, stub: Any, ctx: SessionContext) -> None:
    ctx.register_variable("x", "list", [1])
    first = ctx["x"]
    first.append(2)
    assert ctx["x"] == [1]
    assert ctx.get_variables(["x"]) == {"x": [1]}
    assert server.calls["GetVariable"] == 1
    assert server.calls["GetVariables"] == 0
    SessionContext(stub, "s1")["x"] = [5]
    assert SessionContext(stub, "s1")["x"] == [5]
    ctx.clear_cache()
    assert ctx["x"] == [5]
    ctx["x"] = [6]
    assert ctx["x"] == [6]
    ctx.set_cache_ttl(timedelta(0))
    SessionContext(stub, "s1")["x"] = [7]
    assert ctx["x"] == [7]


def test_batches(ctx: SessionContext) -> None:
    ctx.register_variable("a", "float", 0, {"max": 1})
    ctx.register_variable("b", "integer", 0)
    results = ctx.update_variables({"a": 5, "b": 1, "c": 1})
    assert results["b"] is True
    assert "above maximum" in str(results["a"])
    assert "not found" in str(results["c"])
    assert ctx.get_variables(["a", "b"]) == {"a": 0.0, "b": 1}
    results = ctx.update_variables({"a": 5, "b": 2}, atomic=True)
    assert "above maximum" in str(results["a"])
    assert "not applied" in str(results["b"])
    assert ctx["b"] == 1
    with ctx.batch_updates() as batch:
        batch["a"], batch["b"] = 1, 3
    assert ctx.get_variables(["a", "b"]) == {"a": 1.0, "b": 3}
    with pytest.raises(ValueError, match="above maximum") as caught, ctx.batch_updates() as batch:
        batch["a"], batch["b"] = 9, 4
    assert set(getattr(caught.value, "errors", ())) == {"a"}
    assert ctx["b"] == 4
    with pytest.raises(ZeroDivisionError), ctx.batch_updates() as batch:
        batch["b"] = 1 // 0
    assert ctx["b"] == 4


def test_lists_are_paged_and_globbed(ctx: SessionContext) -> None:
    for number in range(5):
        ctx[f"x{number}"] = number
    ctx["y"] = 1
    assert [item["name"] for item in ctx.list_variables("x*")] == [f"x{n}" for n in range(5)]
    assert len(ctx.list_variables()) == 6
    item = ctx.list_variables("y")[0]
    assert set(item) == {"id", "name", "type", "value", "version", "constraints", "metadata", "optimizing"}


def test_proxies_and_deletion(ctx: SessionContext) -> None:
    ctx.register_variable("x", "integer", 1, metadata={"owner": "me"})
    proxy = ctx.variable("x")
    assert isinstance(proxy, VariableProxy)
    proxy.value = 2
    assert (proxy.value, proxy.name, repr(proxy)) == (2, "x", "VariableProxy('x')")
    ctx.delete_variable("x")
    assert "x" not in ctx


def test_leaving_deletes_the_session_and_close_does_not(server: BridgeServer, stub: Any) -> None:
    with SessionContext(stub, "s1") as ctx:
        ctx["x"] = 1
        ctx.close()
        assert ctx["x"] == 1
    assert "s1" not in server.sessions
    assert server.requests["CleanupSession"].force
    ctx.cleanup()
    server.fail["CleanupSession"] = (grpc.StatusCode.UNAVAILABLE, "no leader")
    with pytest.raises(KeyError, match="the first"), SessionContext(stub, "s1"):
        raise KeyError("the first")


def test_remote_tools(server: BridgeServer, stub: Any) -> None:
    server.tools = {"multiply": lambda a, b: a * b, "echo": lambda a: a, "fail": lambda: 1 / 0}
    ctx = SessionContext(stub, "s1", {"correlation_id": "c1", "timeout_ms": "5", "binary_format:x": "raw"})
    assert ctx.elixir_tools["multiply"](a=2, b=3) == 6
    assert ctx.elixir_tools["multiply"]["name"] == "multiply"
    assert sorted(ctx.remote_tools) == ["echo", "fail", "multiply"]
    assert server.calls["GetExposedElixirTools"] == 1
    for value in ("text", {"a": [1, None]}, [1], None, 2**70, b"\0\xff", 1.5, True):
        assert ctx.call_elixir_tool("echo", a=value) == value
        assert ctx.call_remote_tool("echo", a=value) == value
        assert ctx.call_tool("echo", a=value) == value
    assert dict(server.requests["ExecuteTool"].metadata) == {"correlation_id": "c1"}
    assert server.metadata["ExecuteTool"]["x-snakepit-correlation-id"] == "c1"
    with pytest.raises(RuntimeError, match="division by zero"):
        ctx.call_elixir_tool("fail")
    with pytest.raises(RuntimeError, match="not found"):
        ctx.call_tool("nothing")


def test_a_stub_may_be_a_plain_object() -> None:
    class Stub:
        def GetVariable(self, request: Any) -> Any:
            variable = pb.Variable(id="var_x_1", name="x", type="string")
            variable.value.value = b'"found"'
            variable.value.type_url = "dspex.variables/string"
            return pb.GetVariableResponse(variable=variable)

    assert SessionContext(Stub(), "any")["x"] == "found"


def test_an_async_stub_is_refused_in_words() -> None:
    class Stub:
        async def GetVariable(self, request: Any) -> Any:
            raise AssertionError

    with pytest.raises(TypeError, match="sync channel"):
        SessionContext(Stub(), "any").get_variable("x")
