"""`grpc_server`: an adapter behind a server of its own, started as Snakepit's pool starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import snakepit_bridge
import snakepit_bridge_pb2 as pb
import snakepit_bridge_pb2_grpc as service
from snakepit import _values
from snakepit_bridge import SessionContext
from tests.bridge_server import BridgeServer

SCRIPT = Path(snakepit_bridge.__file__).parent / "grpc_server.py"
OLD = "tests.bridge_adapters.Thermostat"
NEW = "tests.bridge_adapters_013.OnlyTools"


class Served:
    """A server process, and a stub of it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = service.BridgeServiceStub(self.channel)

    def request(
        self, tool: str, arguments: dict[str, Any], metadata: dict[str, str], session: str
    ) -> pb.ExecuteToolRequest:
        request = pb.ExecuteToolRequest(session_id=session, tool_name=tool, metadata=metadata)
        for name, value in arguments.items():
            encoded, payload = _values.encode(value)
            request.parameters[name].CopyFrom(encoded)
            if payload is not None:
                request.binary_parameters[name] = payload
        return request

    def execute(self, tool: str, _metadata: dict[str, str] | None = None, **arguments: Any) -> Any:
        return self.stub.ExecuteTool(self.request(tool, arguments, _metadata or {}, "s1"), timeout=20)

    def value(self, tool: str, **arguments: Any) -> Any:
        answer = self.execute(tool, **arguments)
        assert answer.success, answer.error_message
        return _values.decode(answer.result, answer.binary_result or None)


@pytest.fixture
def bridge() -> Iterator[BridgeServer]:
    server = BridgeServer()
    server.tools = {"multiply": lambda a, b: a * b, "echo": lambda a: a}
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def start(bridge: BridgeServer, tmp_path: Path) -> Iterator[Any]:
    started: list[Served] = []

    def run(adapter: str, *flags: str, **environment: str) -> Served:
        ready = tmp_path / f"ready-{len(started)}"
        command = [sys.executable, str(SCRIPT), "--adapter", adapter, "--port", "0"]
        command += ["--elixir-address", bridge.address, "--snakepit-run-id", "abc", "--of-tomorrow", *flags]
        process = subprocess.Popen(
            command,
            env=os.environ
            | {"PYTHONPATH": str(Path(__file__).parent.parent), "SNAKEPIT_READY_FILE": str(ready)}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("GRPC_READY:"):
            process.kill()
            raise AssertionError(f"{line!r}, {process.communicate()[1]}")
        port = int(line.removeprefix("GRPC_READY:"))
        assert ready.read_text() == str(port)
        started.append(Served(process, port))
        return started[-1]

    try:
        yield run
    finally:
        for served in started:
            served.channel.close()
            served.process.kill()
            served.process.communicate()


def test_it_serves_tools(start: Any, bridge: BridgeServer) -> None:
    served = start(OLD)
    pong = served.stub.Ping(pb.PingRequest(message="x"))
    assert pong.message == "Pong from Python: x"
    assert served.value("heat", to=20) == {"temperature": 20.0, "heated": True, "session": "s1"}
    assert served.value("tools") == [6, 20, "runs multiply"]
    assert served.value("values")["bytes"] == b"\0x"
    assert served.value("argument", value=b"\0") == b"\0"
    failed = served.execute("heat", to=99)
    assert not failed.success
    assert "above maximum" in failed.error_message
    assert failed.error.type == "Invalid"
    assert bridge.calls["RegisterTools"] == 1
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=10) == 0


def test_it_passes_on_what_is_about_sessions(start: Any, bridge: BridgeServer) -> None:
    served = start(OLD)
    assert served.stub.InitializeSession(pb.InitializeSessionRequest(session_id="new")).success
    ctx = SessionContext(served.stub, "new")
    ctx["x"] = {"a": [1, 2]}
    assert bridge.sessions["new"]["x"].type == "map"
    assert SessionContext(served.stub, "new")["x"] == {"a": [1, 2]}
    with pytest.raises(KeyError, match="Variable not found: y"):
        ctx.get_variable("y")
    updates = list(served.stub.WatchVariables(pb.WatchVariablesRequest(session_id="new")))
    assert [update.variable.name for update in updates] == ["x"]
    with pytest.raises(grpc.RpcError) as caught:
        served.stub.GetVariableHistory(pb.GetVariableHistoryRequest(session_id="new"))
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_without_an_address_there_are_no_sessions(start: Any) -> None:
    served = start("snakepit_bridge.adapters.TemplateAdapter", "--elixir-address", "")
    assert served.value("echo", message="x")["message"] == "x"
    began = time.monotonic()
    failed = served.execute("remember", name="x", value=1)
    assert (failed.error.type, failed.error.message.partition(":")[0]) == ("Unavailable", "no sessions here")
    with pytest.raises(grpc.RpcError, match="no sessions here"):
        SessionContext(served.stub, "s1").get_variable("x")
    assert time.monotonic() - began < 10


def test_tools_only(start: Any, bridge: BridgeServer) -> None:
    served = start(NEW)
    assert served.value("add", a=1, b=2) == 3
    answer = served.execute("whoami", {"correlation_id": "c7"})
    assert answer.metadata["correlation_id"] == "c7"
    assert json.loads(answer.result.value)["correlation"] == "c7"
    assert served.execute("nothing").metadata["correlation_id"]
    assert "tool not found" in served.execute("missing").error_message


def test_streams(start: Any) -> None:
    served = start(OLD)
    chunks = list(served.stub.ExecuteStreamingTool(served.request("stream", {"count": 100}, {}, "s1")))
    assert [json.loads(chunk.data)["n"] for chunk in chunks] == list(range(100))
    assert [chunk.is_final for chunk in chunks] == [False] * 99 + [True]
    with pytest.raises(grpc.RpcError) as caught:
        list(served.stub.ExecuteStreamingTool(served.request("nonsense", {}, {}, "s1")))
    error: Any = caught.value
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Unknown tool: nonsense",
    )


def test_timeout_ms_answers_though_the_tool_runs_on(start: Any) -> None:
    served = start(OLD)
    began = time.monotonic()
    answer = served.execute("late", {"timeout_ms": "100"})
    assert time.monotonic() - began < 10
    assert answer.error.type == "DeadlineExceeded"


def test_telemetry_is_streamed(start: Any) -> None:
    served = start(NEW)
    asked = threading.Event()

    def controls() -> Iterator[Any]:
        yield pb.TelemetryControl(filter=pb.TelemetryEventFilter(deny=["tool.work.*"]))
        asked.wait(10)

    events = served.stub.StreamTelemetry(controls())
    deadline = time.monotonic() + 10
    found: list[Any] = []
    threading.Thread(target=lambda: _collect(events, found), daemon=True).start()
    while not found and time.monotonic() < deadline:
        assert served.value("observed")
        time.sleep(0.05)
    asked.set()
    events.cancel()
    assert [".".join(event.event_parts) for event in found[:1]] == ["tool.seen"]
    assert found[0].measurements["count"].int_value == 1


def _collect(events: Any, found: list[Any]) -> None:
    with contextlib.suppress(grpc.RpcError):
        found.extend(events)


def test_heartbeats_of_sessions(start: Any, bridge: BridgeServer) -> None:
    served = start(NEW, "--heartbeat-enabled", "--heartbeat-interval-ms", "20", "--heartbeat-independent")
    served.stub.InitializeSession(pb.InitializeSessionRequest(session_id="beating"))
    deadline = time.monotonic() + 10
    while bridge.calls["Heartbeat"] < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bridge.calls["Heartbeat"] >= 3
    served.stub.CleanupSession(pb.CleanupSessionRequest(session_id="beating"))
    time.sleep(0.1)
    before = bridge.calls["Heartbeat"]
    time.sleep(0.1)
    assert bridge.calls["Heartbeat"] == before


def test_the_document_of_errors(start: Any) -> None:
    served = start(NEW, SNAKEPIT_LEGACY_RESULTS="0.13")
    told = json.loads(served.execute("fail").error_message)
    assert (told["type"], told["message"], told["context"]["tool_name"]) == (
        "RuntimeError",
        "as asked",
        "fail",
    )


@pytest.mark.parametrize(
    ("module", "flags", "code", "words"),
    [
        ("grpc_server", ["--adapter", OLD, "--health-check"], 0, ""),
        ("grpc_server", ["--adapter", "tests.nowhere.Adapter"], 2, "there is no module"),
        ("grpc_server", ["--adapter", OLD, "--thread-safety-check"], 2, "__thread_safe__"),
        ("grpc_server_threaded", ["--adapter", OLD, "--max-workers", "3"], 2, "__thread_safe__"),
    ],
)
def test_what_cannot_be_served_is_said(module: str, flags: list[str], code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"snakepit_bridge.{module}", *flags],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "GRPC_READY" not in done.stdout
