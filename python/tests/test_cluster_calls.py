"""Calls with keys, streams that go on, pools and their workers, against real nodes. Needs SNAKEPIT_BIN."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit import _arrays, _tool_values, _values, errors
from snakepit._proto import snakepit_bridge_pb2 as pb
from tests.bridge_cluster import BIN, Cluster, eventually

pytestmark = pytest.mark.skipif(not BIN, reason="SNAKEPIT_BIN does not name the snakepit program")
ADAPTER = "tests.journal_tools"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    # A busy machine holds more elections than one can wait for.
    cluster = Cluster(ADAPTER, heartbeat_ms=250)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def client(nodes: Cluster) -> Iterator[snakepit.Client]:
    with snakepit.connect(nodes.endpoints, timeout_s=120) as client:
        assert client.put_pool("full", definition(journal="full")) == 1
        yield client


@pytest.fixture
def session(client: snakepit.Client) -> snakepit.Session:
    return client.create_session(f"s-{uuid.uuid4().hex}")


def definition(**settings: Any) -> dict[str, Any]:
    return {"adapter": ADAPTER, "python": sys.executable, "size": 1, **settings}


def ready(client: snakepit.Client, pool: str, count: int = 3) -> None:
    def look() -> None:
        assert sum(w.pool == pool and w.state in ("ready", "busy") for w in client.workers()) >= count

    eventually(look, 180)


def test_a_result_says_where_it_comes_from(client: snakepit.Client) -> None:
    ready(client, "default")
    result = client.call("stamp", pool="default", correlation_id="c1", metadata={"x": "y"})
    assert (result.pool, result.stdout, result.stderr) == ("default", "out\n", "err\n")
    assert (result.recorded, result.attempts) == (False, 1)
    assert result.node_id in (1, 2, 3)
    assert result.worker_id in {worker.id for worker in client.workers()}


def test_a_key_gets_the_first_answer(client: snakepit.Client, session: snakepit.Session) -> None:
    ready(client, "full")
    first = client.call("stamp", session, pool="full", idempotency_key="k1")
    again = client.call("stamp", session, pool="full", idempotency_key="k1")
    other = client.call("stamp", session, pool="full", idempotency_key="k2")
    assert (first.recorded, again.recorded, other.recorded) == (False, True, False)
    assert first.value == again.value != other.value


def test_chunks_have_numbers(client: snakepit.Client, session: snakepit.Session) -> None:
    ready(client, "full")
    stream = client.stream("slow_count", session, pool="full", to=5)
    chunks = list(stream.chunks())
    assert [(chunk.value, chunk.number) for chunk in chunks] == [(n, n) for n in range(5)]
    assert {chunk.call_id for chunk in chunks} == {stream.call_id} != {""}
    assert stream.number == 4


@pytest.mark.parametrize("tool", ["slow_count", "count_once"])
def test_a_stream_goes_on_at_another_node(
    nodes: Cluster, client: snakepit.Client, session: snakepit.Session, tool: str
) -> None:
    ready(client, "full")
    with snakepit.connect(nodes.endpoints, timeout_s=180) as own:
        stream = own.stream(tool, session.id, pool="full", to=100, ms=20)
        seen = [next(stream) for _ in range(10)]
        nodes.kill(1)
        try:
            if tool == "slow_count":
                seen += list(stream)
                assert seen == list(range(100))
            else:
                # Its worker died with the node, and it may not run twice.
                with pytest.raises(errors.Unknown, match="was lost before chunk") as caught:
                    seen += list(stream)
                assert seen == list(range(len(seen)))
                assert caught.value.maybe_done
        finally:
            nodes.start(1)


def test_a_stream_without_a_journal_breaks(nodes: Cluster, client: snakepit.Client) -> None:
    ready(client, "default")
    with snakepit.connect(nodes.endpoints[2:] + nodes.endpoints[:2], timeout_s=60) as own:
        stream = own.stream("slow_count", pool="default", to=2000)
        assert next(stream) == 0
        nodes.kill(3)
        try:
            with pytest.raises(errors.Unavailable):
                list(stream)
            assert list(stream) == []
        finally:
            nodes.start(3)


def test_pools_and_workers(client: snakepit.Client) -> None:
    assert client.put_pool("more", definition(), create_only=True) == 1
    with pytest.raises(errors.AlreadyExists):
        client.put_pool("more", definition(), create_only=True)
    with pytest.raises(errors.Conflict):
        client.put_pool("more", definition(size=2), expected_version=7)
    assert client.put_pool("more", definition(size=2), expected_version=1) == 2
    with pytest.raises(errors.Invalid, match="colour"):
        client.put_pool("more", definition(colour="red"))
    pool = next(pool for pool in client.pools() if pool.name == "more")
    assert (pool.origin, pool.version, pool.definition["size"]) == ("cluster", 2, 2)
    ready(client, "more", 6)
    before = {worker.id for worker in client.workers() if worker.pool == "more"}
    assert set(client.control_workers("restart", pool="more")) == before
    eventually(lambda: _assert(not before & {worker.id for worker in client.workers()}))
    with pytest.raises(errors.Invalid, match="no worker nobody"):
        client.control_workers("kill", worker_id="nobody")
    assert client.remove_pool("more")
    assert not client.remove_pool("more")


def _crash_until_refused(client: snakepit.Client) -> None:
    for _ in range(20):
        with pytest.raises(errors.Unknown):
            client.call("crash", pool="brittle")


def test_an_open_circuit(client: snakepit.Client) -> None:
    client.put_pool("brittle", definition(breaker_failures=1, breaker_reset_ms=60_000))
    ready(client, "brittle")
    began = time.monotonic()
    with pytest.raises(errors.CircuitOpen) as caught:
        _crash_until_refused(client)
    assert 0 < caught.value.retry_after_s <= 60
    assert not caught.value.maybe_done
    # A circuit that is open is not asked until the time is over.
    assert time.monotonic() - began < 100
    client.remove_pool("brittle")


def test_a_session_whose_worker_is_gone(client: snakepit.Client, session: snakepit.Session) -> None:
    client.put_pool("bound", definition(affinity="strict_fail_fast"))
    ready(client, "bound")
    first = client.call("stamp", session, pool="bound")
    assert client.control_workers("kill", worker_id=first.worker_id) == [first.worker_id]
    eventually(lambda: _assert(first.worker_id not in {worker.id for worker in client.workers()}))
    with pytest.raises(errors.WorkerLost) as caught:
        client.call("stamp", session, pool="bound")
    assert not caught.value.maybe_done
    ready(client, "bound")
    assert client.call("stamp", session, pool="bound").worker_id != first.worker_id
    client.remove_pool("bound")


def _assert(condition: bool) -> None:
    assert condition


@pytest.mark.parametrize("dtype", sorted(_arrays.DTYPES))
def test_arrays_go_to_tools_and_back_bit_by_bit(nodes: Cluster, client: snakepit.Client, dtype: str) -> None:
    ready(client, "default")
    random = np.random.default_rng(11)
    count = 512
    content = bytes(random.integers(0, 2 if dtype == "bool" else 256, count * np.dtype(dtype).itemsize, "u1"))
    # Among so many random bits of floats are NaNs with payloads, of both signs, and subnormals.
    value = np.frombuffer(content, dtype).reshape(2, -1)
    if value.dtype.kind == "f":
        quiet = np.frombuffer(b"\xff" * value.dtype.itemsize * 2, dtype).reshape(2, 1)
        value = np.concatenate([value, quiet], axis=1)
        assert np.isnan(value).any()
    for endpoint in nodes.endpoints:
        with snakepit.connect(endpoint, timeout_s=60) as one:
            back = one.call("give_back", pool="default", value=value).value
        assert (back.dtype.name, back.shape) == (dtype, value.shape)
        assert back.tobytes() == value.tobytes()


def test_who_takes_no_raw_arrays_gets_lists(nodes: Cluster, client: snakepit.Client) -> None:
    ready(client, "full")
    value = np.array([[0.1, np.nan]], dtype=np.float32)
    key = f"k-{uuid.uuid4().hex}"
    first = client.call("give_back", pool="full", idempotency_key=key, value=value)
    assert first.value.tobytes() == value.tobytes()
    request = pb.ExecuteToolRequest(tool_name="give_back", metadata={"pool": "full", "idempotency_key": key})
    encoded, payload = _tool_values.encode(value)
    request.parameters["value"].CopyFrom(encoded)
    request.binary_parameters["value"] = payload or b""
    # The recorded answer, too.
    for node in range(3):
        answer = nodes.stub(node).ExecuteTool(request, timeout=30)
        assert answer.recorded
        assert (answer.result.type_url, answer.binary_result) == ("type.googleapis.com/snakepit.list", b"")
        assert json.loads(answer.result.value) == [[float(np.float32(0.1)), {"__snakepit_float__": "NaN"}]]
    relayed = pb.ExecuteElixirToolRequest(tool_name="give_back", metadata={"pool": "full"})
    relayed.parameters["value"].CopyFrom(_values.encode([1, 2])[0])
    assert json.loads(nodes.stub(0).ExecuteElixirTool(relayed, timeout=30).result.value) == [1, 2]


def test_a_parameter_that_is_a_list_gets_one(client: snakepit.Client) -> None:
    ready(client, "default")
    both = client.call("kinds_of", pool="default", free=np.zeros(2), listed=np.zeros(2)).value
    assert both == ["ndarray", "list"]
