"""Tools of processes that no node started, against real nodes. Needs SNAKEPIT_BIN."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, wrappers_pb2

import snakepit
from snakepit import Service, errors
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto import worker_v1_pb2 as wire
from snakepit._proto import worker_v1_pb2_grpc
from snakepit.worker._source import host_of
from tests import served
from tests.bridge_cluster import BIN, Cluster, eventually

needs_nodes = pytest.mark.skipif(not BIN, reason="SNAKEPIT_BIN does not name the snakepit program")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    cluster = Cluster("tests.bridge_adapters_013.OnlyTools", nodes=2)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def service(nodes: Cluster) -> Iterator[Service]:
    with snakepit.serve(served.FUNCTIONS, nodes.endpoints, name="outside", principal="ada") as service:
        yield service


@pytest.fixture(params=[0, 1])
def client(request: Any, nodes: Cluster) -> Iterator[snakepit.Client]:
    with snakepit.connect(nodes.endpoints[request.param], timeout_s=30) as client:
        yield client


def names(nodes: Cluster, node: int) -> set[str]:
    answer = nodes.stub(node).GetExposedElixirTools(pb.GetExposedElixirToolsRequest(), timeout=20)
    return {spec.name for spec in answer.tools}


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@needs_nodes
def test_every_node_has_the_tools(nodes: Cluster, service: Service) -> None:
    assert service.nodes == [1, 2]
    for node in range(2):
        assert {"double", "keep", "counts"} <= names(nodes, node)


@needs_nodes
def test_calls(service: Service, client: snakepit.Client) -> None:
    result = client.call("double", value=[1, "x"])
    assert (result.value, result.pool) == ([1, "x", 1, "x"], "outside")
    assert client.call("waits", seconds=0.01).value == "waited"
    session = client.create_session(f"s-{uuid.uuid4().hex}")
    assert client.call("keep", session, name="x", value=2.5).value == 2.5
    assert session["x"] == 2.5
    assert session.variable("x").version == 1
    with pytest.raises(errors.ToolError, match="LookupError: as asked") as caught:
        client.call("fails", text="as asked")
    assert "served.py" in caught.value.traceback


@needs_nodes
def test_streams(service: Service, client: snakepit.Client) -> None:
    assert list(client.stream("counts", to=100)) == list(range(100))
    assert list(client.stream("ticks", to=5)) == list(range(5))


@needs_nodes
def test_cancellation(service: Service, client: snakepit.Client) -> None:
    served.EVENTS.clear()
    stream = client.stream("counts", to=100_000)
    assert next(stream) == 0
    stream.close()
    wait_until(lambda: "counts ended" in served.EVENTS)
    with pytest.raises(errors.Unknown):
        client.call("waits", seconds=60, timeout_s=0.5)
    wait_until(lambda: "waits cancelled" in served.EVENTS)


@needs_nodes
def test_slots_are_of_the_process(nodes: Cluster, service: Service) -> None:
    clients = [snakepit.connect(endpoint) for endpoint in nodes.endpoints]
    with ThreadPoolExecutor(8) as pool:
        most = list(pool.map(lambda n: clients[n % 2].call("at_once", ms=20).value, range(8)))
    assert max(most) == 1
    for client in clients:
        client.close()


@needs_nodes
def test_a_tool_of_a_worker_calls_them(nodes: Cluster, service: Service, client: snakepit.Client) -> None:
    session = client.create_session(f"s-{uuid.uuid4().hex}")

    def relay() -> Any:
        return client.call("relay", session, tool="double", arguments={"value": 21}).value

    wait_until(lambda: "relay" in names(nodes, 0) | names(nodes, 1))
    assert relay() == 42
    from snakepit_bridge import SessionContext

    context = SessionContext(nodes.stub(0), session.id)
    assert context.call_elixir_tool("double", value=4) == 8
    assert context.elixir_tools["double"](value="ab") == "abab"


@needs_nodes
def test_one_instance_for_all_streams(nodes: Cluster) -> None:
    with snakepit.serve(served.Counter, nodes.endpoints, name="counter"):
        totals = []
        for endpoint in nodes.endpoints:
            with snakepit.connect(endpoint) as client:
                totals.append(client.call("count_up").value)
    assert totals == [1, 2]


@needs_nodes
def test_the_end_takes_them_away(nodes: Cluster) -> None:
    # Given to one node alone, they are there for all.
    service = snakepit.serve("tests.served.Counter", nodes.endpoints[:1], name="once")
    eventually(lambda: _assert("count_up" in names(nodes, 1)))
    service.stop()
    service.stop()
    assert service.wait()
    assert service.nodes == []
    eventually(lambda: _assert("count_up" not in names(nodes, 0) | names(nodes, 1)))


@needs_nodes
def test_a_call_that_runs_may_end(nodes: Cluster) -> None:
    service = snakepit.serve([served.at_once], nodes.endpoints, name="slow")
    with snakepit.connect(nodes.endpoints[0]) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.call, "at_once", ms=700, pool="slow")
        time.sleep(0.3)
        service.stop()
        assert answer.result().value >= 1


@needs_nodes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_process(nodes: Cluster, number: signal.Signals) -> None:
    name = f"process-{number.name.lower()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.served", ",".join(nodes.endpoints), name],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "serving\n"
        with snakepit.connect(nodes.endpoints[1]) as client:
            assert client.call("served_by", pool=name).value == process.pid
            process.send_signal(number)
            said = process.communicate(timeout=30)[0]
            assert (said, process.returncode) == (("", -9) if number is signal.SIGKILL else ("stopped\n", 0))
            eventually(lambda: _assert_refused(client, name))
    finally:
        process.kill()
        process.wait()


@needs_nodes
def test_what_calls_print_and_emit_comes_through(nodes: Cluster) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.served", ",".join(nodes.endpoints), "says"],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    controls: queue.SimpleQueue[pb.TelemetryControl | None] = queue.SimpleQueue()
    events: Any = nodes.stub(1).StreamTelemetry(iter(controls.get, None), timeout=60)
    controls.put(pb.TelemetryControl(filter=pb.TelemetryEventFilter(allow=["served.*"])))
    try:
        assert process.stdout.readline() == "serving\n"
        came: queue.SimpleQueue[pb.TelemetryEvent] = queue.SimpleQueue()
        threading.Thread(target=_gather, args=(events, came), daemon=True).start()
        with snakepit.connect(nodes.endpoints[1]) as client:
            offered = [worker for worker in client.workers() if worker.pool == "says"]
            assert [worker.principal for worker in offered] == ["eve"]
            assert {worker.principal for worker in client.workers() if worker.pool == "default"} == {""}
            ends = time.monotonic() + 20
            # The process hears within a heartbeat that somebody listens.
            while came.empty():
                assert time.monotonic() < ends
                result = client.call("says", text="a", pool="says", correlation_id="c-7")
                assert (result.stdout, result.stderr) == ("out a\n", "err a\n")
                time.sleep(0.1)
        event = came.get()
        assert list(event.event_parts) == ["served", "said"]
        assert (event.measurements["letters"].int_value, event.correlation_id) == (1, "c-7")
        assert event.metadata["node_id"] == "2"
        process.send_signal(signal.SIGTERM)
        printed = process.communicate(timeout=30)[0]
        assert printed.startswith("out a\n")
        assert printed.endswith("stopped\n")
    finally:
        controls.put(None)
        events.cancel()
        process.kill()
        process.wait()


@needs_nodes
def test_async(nodes: Cluster) -> None:
    async def run() -> None:
        served_async = snakepit.serve_async([served.double], nodes.endpoints, name="async")
        async with served_async as service, snakepit.connect_async(nodes.endpoints) as client:
            assert service.nodes == [1, 2]
            assert (await client.call("double", value=3, pool="async")).value == 6
            assert not await service.wait(0.01)
        assert await service.wait()
        with pytest.raises(errors.Refused, match="before"):
            await service.start()

    asyncio.run(run())


@needs_nodes
def test_the_protocol_by_hand(nodes: Cluster) -> None:
    """What docs/offers.md says, with the schema and nothing else."""
    to_node: queue.SimpleQueue[wire.FromWorker | None] = queue.SimpleQueue()
    channel = grpc.insecure_channel(nodes.endpoints[0], options=(("grpc.enable_http_proxy", 0),))
    connect = worker_v1_pb2_grpc.WorkerServiceStub(channel).Connect
    stream: Any = connect(iter(to_node.get, None))
    tools = [pb.ToolSpec(name="greet", parameters=[pb.ParameterSpec(name="who", type="string")])]
    to_node.put(
        wire.FromWorker(
            hello=wire.Hello(
                protocol=1, offer="by-hand", worker_id="me-1", pid=1, slots=1, credits=2, tools=tools
            )
        )
    )
    assert next(stream).welcome.pool == "by-hand"
    with snakepit.connect(nodes.endpoints[0]) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.call, "greet", who="you")
        (call,) = next(stream).calls.calls
        assert (call.tool, call.parameters["who"].value) == ("greet", b'"you"')
        value = any_pb2.Any()
        value.Pack(wrappers_pb2.StringValue(value="hello"))
        result = wire.Result(sequence=call.sequence, success=True, value=value)
        to_node.put(wire.FromWorker(results=wire.Results(results=[result])))
        assert answer.result().value == "hello"
    to_node.put(wire.FromWorker(goodbye=wire.Goodbye()))
    to_node.put(None)
    assert list(stream) == []
    channel.close()


@needs_nodes
def test_a_node_that_goes_and_comes_back(nodes: Cluster) -> None:
    with snakepit.serve([served.double], nodes.endpoints, name="again") as service:
        nodes.kill(2)
        try:
            wait_until(lambda: service.nodes == [1])
            with snakepit.connect(nodes.endpoints[0]) as client:
                assert client.call("double", value=1, pool="again").value == 2
        finally:
            nodes.start(2)
        wait_until(lambda: service.nodes == [1, 2], 30)
        with snakepit.connect(nodes.endpoints[1]) as client:
            assert client.call("double", value=2, pool="again").value == 4


@needs_nodes
def test_refusals(nodes: Cluster) -> None:
    with pytest.raises(errors.Refused, match="is a pool of the node"):
        snakepit.serve([served.double], nodes.endpoints, name="default")
    with pytest.raises(errors.Refused, match="no pool name"):
        snakepit.serve([served.double], nodes.endpoints, name="no name")
    with pytest.raises(errors.Refused, match="the limit is 256"):
        snakepit.serve([served.double], nodes.endpoints, name="long", principal="x" * 257)
    before = threading.active_count()
    with pytest.raises(errors.Unavailable, match=r"within 0\.5 s"):
        snakepit.serve([served.double], "127.0.0.1:1", name="x", timeout_s=0.5)
    assert threading.active_count() <= before


def test_a_refusal_heard_at_a_later_try() -> None:
    """The first try breaks before the node's answer is heard, which is no refusal; a later one is refused."""

    class Broken(worker_v1_pb2_grpc.WorkerServiceServicer):
        tries = 0

        def Connect(self, messages: Any, context: Any) -> Any:
            self.tries += 1
            if self.tries == 1:
                context.abort(grpc.StatusCode.INTERNAL, "Internal error from Core")
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the limit is 256")

    server = grpc.server(ThreadPoolExecutor(2))
    node = Broken()
    worker_v1_pb2_grpc.add_WorkerServiceServicer_to_server(node, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(errors.Refused, match="the limit is 256"):
            snakepit.serve([served.double], f"127.0.0.1:{port}", name="x", timeout_s=60)
    finally:
        server.stop(None)
    # grpc.aio says INTERNAL by itself where its write of the hello fails before it reads the status:
    # the second try may break too, and the third hears it.
    assert node.tries >= 2


def test_what_can_be_served() -> None:
    host = host_of(served.FUNCTIONS, slots=1)
    assert sorted(host.entries) == sorted(function.__name__ for function in served.FUNCTIONS)
    specs = {spec.name: spec for spec in host.specs}
    assert specs["double"].description == "Twice."
    assert specs["counts"].supports_streaming
    assert specs["ticks"].supports_streaming
    assert host.entries["waits"].is_async
    assert [parameter.name for parameter in specs["keep"].parameters] == ["name", "value"]
    assert not hasattr(served.double, "__snakepit_tool__")
    for source in ("tests.tools", "tests.served.Counter", served.Counter, served):
        assert host_of(source, slots=1).entries
    with pytest.raises(errors.Invalid, match="no tools"):
        host_of([], slots=1)
    with pytest.raises(errors.Invalid, match="two functions"):
        host_of([served.double, served.double], slots=1)
    with pytest.raises(errors.Invalid, match="no function with a name"):
        host_of([lambda: 1], slots=1)
    with pytest.raises(errors.Invalid, match="slots is 0"):
        snakepit.serve([served.double], "127.0.0.1:1", name="x", slots=0)
    with pytest.raises(errors.Invalid, match="no endpoints"):
        snakepit.serve([served.double], [], name="x")


def _gather(events: Any, came: queue.SimpleQueue[pb.TelemetryEvent]) -> None:
    with contextlib.suppress(grpc.RpcError):
        for event in events:
            came.put(event)


def _assert(condition: bool) -> None:
    assert condition


def _assert_refused(client: snakepit.Client, pool: str) -> None:
    try:
        client.call("served_by", pool=pool, timeout_s=2)
    except errors.NotFound:
        return
    except errors.SnakepitError as error:
        raise AssertionError("not gone yet") from error
    raise AssertionError("still served")
