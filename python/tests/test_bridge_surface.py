"""The names of both generations are there, and the modules do what they say."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import snakepit
import snakepit_bridge
import snakepit_bridge_pb2_grpc as service
from snakepit_bridge import (
    HeartbeatClient,
    HeartbeatConfig,
    SessionContext,
    cli,
    configure_logging,
    telemetry,
)
from snakepit_bridge.base_adapter import BaseAdapter, tool
from snakepit_bridge.base_adapter_threaded import (
    ThreadSafeAdapter,
    require_thread_safe,
    validate_thread_safety,
)
from snakepit_bridge.dspy_integration import create_variable_aware_program
from snakepit_bridge.thread_safety_checker import ThreadSafetyChecker, check_adapter
from tests.bridge_adapters import OldTools
from tests.bridge_server import BridgeServer

NAMES = {
    "snakepit_bridge": "SessionContext VariableProxy VariableNotFoundError VariableType TypeValidator "
    "HeartbeatClient HeartbeatConfig configure_logging get_logger ZeroCopyRef __version__",
    "snakepit_bridge.session_context": "SessionContext VariableProxy VariableNamespace BatchUpdater "
    "CachedVariable VariableNotFoundError",
    "snakepit_bridge.base_adapter": "BaseAdapter ToolMetadata tool",
    "snakepit_bridge.types": "VariableType TypeValidator FloatValidator IntegerValidator StringValidator "
    "BooleanValidator serialize_value deserialize_value validate_constraints",
    "snakepit_bridge.serialization": "TypeSerializer BINARY_THRESHOLD",
    "snakepit_bridge.variable_aware_mixin": "VariableAwareMixin",
    "snakepit_bridge.dspy_integration": "VariableAwareMixin",
    "snakepit_bridge.cli": "main",
    "snakepit_bridge.heartbeat": "HeartbeatClient HeartbeatConfig",
    "snakepit_bridge.logging_config": "configure_logging get_logger",
    "snakepit_bridge.telemetry": "emit span set_backend otel_span get_correlation_id set_correlation_id",
    "snakepit_bridge.telemetry.stream": "TelemetryStream",
    "snakepit_bridge.zero_copy": "ZeroCopyRef",
    "snakepit_bridge.base_adapter_threaded": "ThreadSafeAdapter thread_safe_method require_thread_safe "
    "validate_thread_safety",
    "snakepit_bridge.thread_safety_checker": "ThreadSafetyChecker",
    "snakepit_bridge.adapters": "TemplateAdapter",
    "snakepit_bridge.adapters.base": "BaseAdapter tool",
    "snakepit_bridge.adapters.template": "TemplateAdapter",
    "snakepit_bridge.adapters.showcase": "ShowcaseAdapter",
    "snakepit_bridge.adapters.showcase.tool": "Tool StreamChunk",
    "snakepit_bridge.adapters.threaded_showcase": "ThreadedShowcaseAdapter",
    "snakepit_bridge.grpc_server": "main",
    "snakepit_bridge.grpc_server_threaded": "main",
    "snakepit_bridge_pb2": "Variable ExecuteToolRequest",
    "snakepit_bridge_pb2_grpc": "BridgeServiceStub BridgeServiceServicer",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing


def test_exports_are_all_and_documented() -> None:
    assert set(snakepit_bridge.__all__) | {"__version__"} == set(NAMES["snakepit_bridge"].split())
    for name in snakepit_bridge.__all__:
        assert getattr(snakepit_bridge, name).__doc__, name


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


# --- base adapter ---


def test_adapters_describe_and_register_their_tools(server: BridgeServer, stub: Any) -> None:
    adapter = OldTools()
    specs = {spec.name: spec for spec in adapter.get_tools()}
    assert sorted(specs) == ["add", "count", "execute_tool"]
    parameters = [(p.name, p.type, p.required, p.validation_json) for p in specs["add"].parameters]
    assert parameters == [("a", "float", True, ""), ("b", "float", False, '{"default": 1}')]
    assert specs["count"].supports_streaming
    assert adapter.call_tool("add", a=1, b=2) == 3
    with pytest.raises(AttributeError, match="tool not found: nope"):
        adapter.call_tool("nope")
    assert sorted(adapter.register_with_session("s1", stub)) == ["add", "count", "execute_tool"]
    assert server.requests["RegisterTools"].worker_id == f"python-{id(adapter)}"


def test_base_adapters_know_their_session(stub: Any) -> None:
    assert BaseAdapter().session_id is None
    adapter = BaseAdapter()
    context = SessionContext(stub, "s1")
    adapter.set_session_context(context)
    assert adapter.session_id == "s1"
    assert adapter.session_context is adapter._session_context is context


def test_the_decorator_leaves_both_marks() -> None:
    @tool("About", required_variables=["x"], idempotent=True)
    def marked() -> None: ...

    about = marked._tool_metadata  # type: ignore[attr-defined]
    assert (about.description, about.required_variables, about.idempotent) == ("About", ["x"], True)

    @tool
    def bare() -> None:
        """Say what it does."""

    assert bare._tool_metadata.description == "Say what it does."  # type: ignore[attr-defined]


def test_thread_safety() -> None:
    class Unsafe(BaseAdapter):
        pass

    assert validate_thread_safety(ThreadSafeAdapter)
    assert check_adapter(Unsafe) == [f"{Unsafe.__qualname__} does not declare __thread_safe__ = True"]
    with pytest.raises(TypeError, match="__thread_safe__"):
        require_thread_safe(Unsafe)
    adapter = ThreadSafeAdapter()
    adapter.set_thread_local("a", 1)
    with adapter.acquire_lock(), adapter.acquire_lock():
        assert adapter.get_thread_local("a") == 1
    adapter.clear_thread_local()
    assert adapter.get_thread_local("a", "none") == "none"
    checker = ThreadSafetyChecker(strict=True)

    @checker.watch
    def again(depth: int) -> None:
        if depth:
            again(depth - 1)

    with pytest.raises(RuntimeError, match="2 threads at once"):
        again(1)
    assert list(checker.report().values()) == [1]


# --- mixins ---


def test_attributes_follow_variables(stub: Any) -> None:
    class Predictor:
        rate = 0.0

        def __init__(self, scale: int) -> None:
            self.scale = scale

        def __call__(self, x: float) -> float:
            return x * self.rate * self.scale

    ctx = SessionContext(stub, "s1")
    ctx["rate"] = 2.0
    program = create_variable_aware_program(
        Predictor, 3, session_context=ctx, variable_bindings={"rate": "rate"}
    )
    assert program(1.0) == 6.0
    SessionContext(stub, "s1")["rate"] = 5.0
    assert program(1.0) == 15.0
    mixed: Any = program
    mixed.set_variable("new", 1)
    assert mixed.get_variable("new") == 1
    assert mixed.get_variable("gone", "default") == "default"


# --- heartbeats ---


def test_heartbeats_end_with_the_session(server: BridgeServer, stub: Any) -> None:
    client = HeartbeatClient(stub, "s1", {"interval_ms": 5, "unknown": 1})
    assert client.start()
    assert not client.start()
    _until(lambda: server.calls["Heartbeat"] >= 3)
    del server.sessions["s1"]
    _until(lambda: not client.running)
    client.stop()


def test_heartbeats_that_get_no_answer(server: BridgeServer, stub: Any) -> None:
    server.fail["Heartbeat"] = (grpc.StatusCode.UNAVAILABLE, "gone")
    over: list[bool] = []
    config = HeartbeatConfig(interval_ms=5, max_missed_heartbeats=2)
    client = HeartbeatClient(stub, "s1", config, on_timeout=lambda: over.append(True))
    client.start()
    _until(lambda: over)
    assert client.missed == 2
    client.stop()
    assert not HeartbeatClient(stub, "s1", HeartbeatConfig(enabled=False)).start()


def test_heartbeats_are_configured_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEPIT_HEARTBEAT_CONFIG", '{"ping_interval_ms": 7, "dependent": false}')
    config = HeartbeatConfig.from_environment()
    assert (config.interval_ms, config.dependent, config.max_missed_heartbeats) == (7, False, 3)


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- telemetry ---


class Kept:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    before = telemetry.set_backend(kept)
    try:
        yield kept
    finally:
        telemetry.set_backend(before)


def test_events_and_spans(kept: Kept) -> None:
    with telemetry.correlation("c1"):
        telemetry.emit(["a", "b"], {"n": 1, "f": 0.5, "t": "x", "big": 2**70}, {"k": 1})
        with telemetry.span("work") as about:
            about["found"] = 3
        with pytest.raises(ValueError, match="no"), telemetry.span("fails"):
            raise ValueError("no")
    telemetry.emit("late", correlation_id="c2")
    names = [".".join(event.event_parts) for event in kept.events]
    assert names == ["a.b", "work.start", "work.stop", "fails.start", "fails.exception", "late"]
    assert [event.correlation_id for event in kept.events] == ["c1"] * 5 + ["c2"]
    first = kept.events[0].measurements
    assert (first["n"].int_value, first["f"].float_value, first["t"].string_value) == (1, 0.5, "x")
    assert first["big"].string_value == str(2**70)
    assert kept.events[2].metadata["found"] == "3"
    assert kept.events[4].metadata["error_type"] == "ValueError"


def test_spans_of_opentelemetry_are_nothing_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with telemetry.otel_span("x") as span:
        assert span is None
    monkeypatch.setenv("SNAKEPIT_ENABLE_OTLP", "true")
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with telemetry.otel_span("x") as span:
        assert span is None


# --- the rest ---


def test_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEPIT_LOG_LEVEL", "debug")
    logger = configure_logging()
    try:
        assert logger.level == logging.DEBUG
        assert snakepit_bridge.get_logger("x").name == "snakepit_bridge.x"
        assert configure_logging("none").level > logging.CRITICAL
    finally:
        logger.setLevel(logging.NOTSET)


def test_the_command_line(capsys: pytest.CaptureFixture[str], server: BridgeServer) -> None:
    assert cli.main(["check", "tests.bridge_adapters.OldTools"]) == 0
    assert "3 tools, not declared thread safe" in capsys.readouterr().out
    assert cli.main(["tools", "tests.bridge_adapters.OldTools"]) == 0
    assert '"name": "add"' in capsys.readouterr().out
    assert cli.main(["ping", server.address]) == 0
    assert capsys.readouterr().out == "pong: hello\n"
    assert cli.main(["check", "tests.nowhere.Adapter"]) == 1
    assert "there is no module" in capsys.readouterr().err


def test_a_worker_of_our_own_tools_does_not_load_it() -> None:
    import subprocess

    program = (
        "import sys; from snakepit.worker import _host, _worker; "
        "print(_host.load('snakepit.demo.showcase').is_bridge, 'snakepit_bridge' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False False\n"


def test_errors_are_those_of_snakepit() -> None:
    assert snakepit_bridge.VariableNotFoundError is snakepit.VariableNotFoundError
