"""Adapters of both generations in our worker, a real process, over a node that is just enough of one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from snakepit import _values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto import worker_v1_pb2 as wire
from tests import fake_node
from tests.bridge_server import BridgeServer
from tests.fake_node import FakeNode, Link

OLD = "tests.bridge_adapters.Thermostat"
NEW = "tests.bridge_adapters_013.OnlyTools"


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[BridgeServer]:
    server = BridgeServer()
    server.tools = {"multiply": lambda a, b: a * b, "echo": lambda a: a}
    monkeypatch.setattr(fake_node, "FakeBridge", lambda: server)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def node(bridge: BridgeServer) -> Iterator[FakeNode]:
    node = FakeNode()
    try:
        yield node
    finally:
        node.close()


def send(
    link: Link,
    tool: str,
    arguments: dict[str, Any] | None = None,
    *,
    metadata: dict[str, str] | None = None,
    payloads: dict[str, bytes] | None = None,
    session: str = "s1",
    sequence: int = 1000,
) -> int:
    call = wire.Call(
        sequence=sequence,
        call_id="call-1",
        tool=tool,
        session_id=session,
        metadata=metadata or {},
        binary_parameters=payloads or {},
        call_token="token",
    )
    for name, value in (arguments or {}).items():
        call.parameters[name].CopyFrom(_values.encode(value)[0])
    link.send(wire.ToWorker(calls=wire.Calls(calls=[call])))
    return sequence


def test_an_adapter_of_04(node: FakeNode, bridge: BridgeServer) -> None:
    link, _ = node.start(OLD)
    assert [spec.name for spec in link.hello.tools] == ["execute_tool"]
    heated = link.value(link.call("heat", session="s1", to=21))
    assert heated == {"temperature": 21.0, "heated": True, "session": "s1"}
    assert bridge.sessions["s1"]["temperature"].type == "float"
    assert set(bridge.tokens) == {"token-1"}
    error = link.error(link.call("heat", session="s1", to=50))
    assert error.type == "Invalid"
    assert "above maximum" in error.message
    assert link.value(link.call("missing", session="s1")) == "caught: Variable not found: nothing"
    assert link.value(link.call("batch", session="s1")) == [2, [3], 2]
    assert link.value(link.call("tools", session="s1")) == [6, 20, "runs multiply"]
    assert link.value(link.call("raw_stub", session="s1")) == ["NOT_FOUND", "Variable not found: nothing"]
    assert "names no session" in link.error(link.call("batch")).message
    assert link.error(link.call("nonsense", session="s1")).message == "Unknown tool: nonsense"


def test_values_are_lossless(node: FakeNode) -> None:
    link, _ = node.start(OLD)
    values = link.value(link.call("values", session="s1"))
    assert values == {"none": None, "int": 2**70, "tuple": [1, 2], "bytes": b"\0x"}


def test_registering_is_once_for_each_session(node: FakeNode) -> None:
    link, _ = node.start(OLD)
    for session in ("s1", "s1", "s2", ""):
        link.value(link.call("values", session=session))
    log = link.value(link.call("log", session="s1"))
    assert [line for line in log if line != "cleanup"] == ["registered s1", "registered s2"]
    assert log.count("cleanup") == 4


def test_streams_of_04(node: FakeNode) -> None:
    link, _ = node.start(OLD)
    sequence = link.call("stream", session="s1", count=3, stream=True)
    assert link.result(sequence).success
    chunks = [(chunk.chunk_id, json.loads(chunk.data), chunk.is_final) for chunk in link.chunks[sequence]]
    assert chunks == [(f"stream-{n}", {"n": n}, n == 2) for n in range(3)]
    assert "stream" in link.error(link.call("stream", session="s1", count=3)).message


def test_call_tool_inside_of_execute_tool(node: FakeNode) -> None:
    link, _ = node.start("tests.bridge_adapters.OldTools")
    assert link.ask("add", a=1, b=2) == 3
    sequence = link.call("count", to=2, stream=True)
    assert link.result(sequence).success
    assert [json.loads(chunk.data) for chunk in link.chunks[sequence]] == [{"n": 0}, {"n": 1}]


def test_an_adapter_of_013_has_no_execute_tool(node: FakeNode) -> None:
    link, _ = node.start(NEW)
    specs = {spec.name: spec for spec in link.hello.tools}
    assert "execute_tool" not in specs
    assert specs["stream"].supports_streaming
    assert [(p.name, p.type, p.required) for p in specs["add"].parameters] == [
        ("a", "integer", True),
        ("b", "integer", True),
    ]
    total = link.value(link.call("add", session="s1", a=2, b=3))
    assert (total, type(total)) == (5, int)
    assert link.value(link.call("just_bytes", session="s1")) == b"\0\xff"
    assert link.value(link.call("nothing", session="s1")) is None
    assert link.value(link.call("just_object", session="s1")) == {"kind": "model", "when": "2024-01-02"}
    objects = link.value(link.call("objects", session="s1"))
    assert objects["model"] == {"kind": "model", "when": "2024-01-02"}
    assert objects["point"] == {"x": 1, "y": 2}
    assert objects["lock"] == {"__ffi_unserializable__": True, "__type__": "_thread.lock"}
    assert link.value(link.call("remote", session="s1")) == [
        ["echo", "multiply"],
        "runs multiply",
        8,
        {"k": ["v", None, "text"]},
    ]
    assert link.error(link.call("fail", session="s1")).type == "RuntimeError"


def test_metadata_and_async_registering(node: FakeNode) -> None:
    link, _ = node.start(NEW)
    found = link.value(send(link, "whoami", metadata={"correlation_id": "c9", "idempotent": "true"}))
    assert found == {
        "session_id": "s1",
        "correlation": "c9",
        "metadata": {"correlation_id": "c9", "idempotent": "true"},
        "registered": ["s1"],
    }
    generated = link.value(send(link, "whoami", sequence=1001))
    assert generated["correlation"] == "call-1"
    assert generated["registered"] == ["s1"]


def test_async_streams_carry_objects(node: FakeNode) -> None:
    link, _ = node.start(NEW)
    sequence = link.call("stream", session="s1", count=2, stream=True)
    assert link.result(sequence).success
    data = [json.loads(chunk.data) for chunk in link.chunks[sequence]]
    assert data == [{"n": n, "point": {"x": n, "y": 0}} for n in range(2)]


def test_thread_sensitive_by_the_request(node: FakeNode) -> None:
    link, _ = node.start(NEW, SNAKEPIT_WORKER_SLOTS="2")
    assert link.value(send(link, "thread", metadata={"thread_sensitive": "true"})) == "snakepit-sensitive"
    assert link.value(send(link, "thread", sequence=1001)).startswith("snakepit-slot")


def test_timeout_ms_bounds_a_call(node: FakeNode) -> None:
    link, _ = node.start("tests.tools")
    error = link.error(send(link, "nap_async", {"ms": 5000}, metadata={"timeout_ms": "50"}))
    assert (error.type, error.message) == ("DeadlineExceeded", "the call's deadline, 50 ms, is over")


def test_telemetry_goes_to_the_node(node: FakeNode) -> None:
    link, _ = node.start(NEW)
    link.telemetry(toggle=pb.TelemetryToggle(enabled=True))
    link.telemetry(filter=pb.TelemetryEventFilter(allow=["tool.*"]))
    assert link.value(send(link, "observed", metadata={"correlation_id": "c1"})) == "c1"
    assert link.wait(lambda: len(link.events) >= 3)
    assert [".".join(event.event_parts) for event in link.events] == [
        "tool.seen",
        "tool.work.start",
        "tool.work.stop",
    ]
    assert {event.correlation_id for event in link.events} == {"c1"}
    assert link.events[0].measurements["count"].int_value == 1
    assert link.events[2].measurements["duration"].int_value > 0


@pytest.mark.parametrize("allowed", [False, True])
def test_pickled_arguments(node: FakeNode, allowed: bool) -> None:
    link, _ = node.start(OLD, **({"SNAKEPIT_ALLOW_PICKLE": "1"} if allowed else {}))
    send(
        link,
        "argument",
        metadata={"binary_format:value": "pickle"},
        payloads={"value": pickle.dumps([1, 2.5])},
    )
    if allowed:
        assert link.value(1000) == [1, 2.5]
    else:
        assert "SNAKEPIT_ALLOW_PICKLE" in link.error(1000).message
    assert link.value(send(link, "argument", payloads={"value": b"raw"}, sequence=1001)) == b"raw"


@pytest.mark.parametrize(("generation", "text"), [("0.4", b"5"), ("0.13", b"5.0")])
def test_old_forms_of_results(node: FakeNode, generation: str, text: bytes) -> None:
    link, _ = node.start(NEW, SNAKEPIT_LEGACY_RESULTS=generation)
    result = link.result(link.call("add", session="s1", a=2, b=3))
    assert result.value.value == text
    assert link.value(link.call("nothing", session="s1")) == "None"
    streamed = link.value(link.call("stream", session="s1", count=1))
    assert streamed == {"error": "Streaming tool called on non-streaming endpoint."}


def test_threaded_adapters(node: FakeNode) -> None:
    link, _ = node.start("tests.bridge_adapters_013.Threaded", SNAKEPIT_WORKER_SLOTS="4")
    sequences = link.call_many([("square", {"n": n}) for n in range(20)])
    assert [link.value(sequence) for sequence in sequences] == [n * n for n in range(20)]


SHOWCASE: list[tuple[str, dict[str, Any], Callable[[Any], bool]]] = [
    ("ping", {}, lambda v: v["status"] == "ok"),
    ("echo", {"a": 1}, lambda v: v == {"echoed": {"a": 1}}),
    ("add", {"a": 1, "b": 2}, lambda v: v == 3),
    ("process_text", {"text": "ab", "operation": "reverse"}, lambda v: v["result"] == "ba"),
    ("reverse_bytes", {"data": b"ab"}, lambda v: v == b"ba"),
    ("store_embedding", {"name": "e", "values": [1, 2]}, lambda v: v["dimensions"] == 2),
    ("set_variable", {"name": "v", "value": {"a": 1}}, lambda v: v["value"] == {"a": 1}),
    ("update_batch", {"updates": {"v": {"a": 2}}}, lambda v: v == {"v": True}),
    ("list_variables", {"pattern": "v*"}, lambda v: [item["name"] for item in v] == ["v"]),
    ("load_data", {"values": [1.0, 2.0, 3.0]}, lambda v: v == {"count": 3}),
    ("train", {}, lambda v: v["mean"] == 2.0),
    ("predict", {"value": 2.0}, lambda v: v["usual"]),
    ("call_another_tool", {"tool": "multiply", "arguments": {"a": 2, "b": 3}}, lambda v: v == 6),
    ("compute_async", {"ms": 1}, lambda v: v == {"ms": 1}),
]


def test_the_showcase(node: FakeNode) -> None:
    link, _ = node.start("snakepit_bridge.adapters.showcase.ShowcaseAdapter")
    for name, arguments, holds in SHOWCASE:
        assert holds(link.value(link.call(name, session="s1", **arguments))), name
    sequence = link.call("stream_fibonacci", session="s1", count=4, stream=True)
    assert link.result(sequence).success
    assert [json.loads(chunk.data)["value"] for chunk in link.chunks[sequence]] == [0, 1, 1, 2]


def test_the_template(node: FakeNode) -> None:
    link, _ = node.start("snakepit_bridge.adapters.template.TemplateAdapter")
    assert link.value(link.call("echo", session="s1", message="x")) == {"message": "x", "session_id": "s1"}
    assert link.value(link.call("remember", session="s1", name="n", value=[1])) == [1]
