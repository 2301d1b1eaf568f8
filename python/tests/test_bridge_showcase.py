"""The example adapters, each kind of command, in forked workers of a real node. Needs SNAKEPIT_BIN."""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import snakepit
from snakepit import LocalCluster, errors
from tests.bridge_cluster import BIN, eventually

pytestmark = pytest.mark.skipif(not BIN, reason="SNAKEPIT_BIN does not name the snakepit program")
ADAPTERS = "snakepit_bridge.adapters"


@pytest.fixture(scope="module")
def client() -> Iterator[snakepit.Client]:
    # Two workers: one may be busy with a tool that calls another.
    showcase = LocalCluster(adapter=f"{ADAPTERS}.showcase.ShowcaseAdapter")
    with showcase, showcase.connect(timeout_s=60) as client:
        yield client


@pytest.fixture(scope="module")
def others() -> Iterator[snakepit.Client]:
    """The other examples, on a node of their own: their tools have names of the showcase's."""
    template = LocalCluster(adapter=f"{ADAPTERS}.TemplateAdapter", workers=1)
    with template, template.connect(timeout_s=60) as client:
        path = f"{ADAPTERS}.threaded_showcase.ThreadedShowcaseAdapter"
        threads = {"size": 1, "concurrency": "thread", "slots": 4}
        client.put_pool("threaded", {"adapter": path, "python": sys.executable, **threads})

        def ready() -> None:
            states = {worker.pool: worker.state for worker in client.workers()}
            assert states.get("threaded") == "ready"

        eventually(ready)
        yield client


@pytest.fixture
def session(client: snakepit.Client) -> snakepit.Session:
    return client.create_session(f"s-{uuid.uuid4().hex}")


@pytest.fixture
def call(client: snakepit.Client, session: snakepit.Session) -> Any:
    return lambda tool, /, **arguments: client.call_with(tool, arguments, session, pool="default").value


def test_workers_are_forked(client: snakepit.Client, call: Any) -> None:
    pools = {pool.name: pool for pool in client.pools()}
    assert pools["default"].definition.get("start", "fork") == "fork"
    told = call("adapter_info")
    assert told["adapter_name"] == "ShowcaseAdapter"
    assert told["pid"] in {worker.pid for worker in client.workers()}


def test_basic(call: Any, session: snakepit.Session) -> None:
    assert call("ping") == {"status": "ok", "message": "pong", "session_id": session.id}
    assert call("echo", a=1, b=[None, {"c": 0.5}]) == {"echoed": {"a": 1, "b": [None, {"c": 0.5}]}}
    assert call("add", a=2**70, b=1) == 2**70 + 1
    assert call("process_text", text="abc", operation="reverse")["result"] == "cba"
    with pytest.raises(errors.ToolError, match="ValueError: as asked"):
        call("error_demo")
    with pytest.raises(errors.ToolError, match="RuntimeError: as asked"):
        call("error_demo", error_type="runtime")
    with pytest.raises(errors.ToolError, match="unknown tool: nothing"):
        call("nothing")


def test_session(call: Any, session: snakepit.Session) -> None:
    assert call("init_session", colour="red") == {"session_id": session.id, "variables": 2}
    assert call("get_session_info") == {"session_id": session.id, "names": ["colour", "initialized_at"]}
    assert session["colour"] == "red"


def test_a_tool_calls_another(client: snakepit.Client, call: Any) -> None:
    assert call("call_another_tool", tool="add", arguments={"a": 1, "b": 2}) == 3
    told = call("call_another_tool", tool="set_variable", arguments={"name": "x", "value": 3})
    assert told == {"name": "x", "value": 3}
    assert call("get_variable", name="x")["value"] == 3


def test_binary(call: Any) -> None:
    data = bytes(range(256)) * 64
    sha256 = hashlib.sha256(data).hexdigest()
    assert call("process_binary", data=data) == {"size": len(data), "sha256": sha256}
    assert call("reverse_bytes", data=data) == data[::-1]
    assert call("store_embedding", name="e", values=[0.5] * 2000) == {"name": "e", "dimensions": 2000}


def test_streaming(client: snakepit.Client, session: snakepit.Session) -> None:
    steps = list(client.stream("stream_progress", session, pool="default", steps=4, delay_ms=1))
    assert steps == [{"step": step, "total": 4} for step in range(1, 5)]
    numbers = list(client.stream("stream_fibonacci", session, pool="default", count=8))
    assert [number["value"] for number in numbers] == [0, 1, 1, 2, 3, 5, 8, 13]
    with client.stream("stream_fibonacci", session, pool="default", count=10**6) as stream:
        assert next(stream)["value"] == 0
    assert client.call("ping", session, pool="default").value["status"] == "ok"


def test_concurrent(call: Any) -> None:
    assert call("compute", ms=1)["ms"] == 1
    assert call("compute_async", ms=1) == {"ms": 1}


def test_variables(call: Any) -> None:
    told = call("register_variable", name="rate", type="float", initial_value=0.5, constraints={"max": 1})
    assert told["variable_id"].startswith("var_rate_")
    assert call("set_variable", name="rate", value=0.75) == {"name": "rate", "value": 0.75}
    with pytest.raises(errors.ToolError, match="above maximum"):
        call("set_variable", name="rate", value=2)
    assert call("get_variable", name="rate")["value"] == 0.75
    call("set_variable", name="count", value=1)
    results = call("update_batch", updates={"rate": 0.25, "count": 2})
    assert results == {"rate": True, "count": True}
    assert [item["name"] for item in call("list_variables", pattern="r*")] == ["rate"]
    assert call("delete_variable", name="count") == {"deleted": "count"}
    assert [item["name"] for item in call("list_variables")] == ["rate"]
    with pytest.raises(errors.ToolError, match="not found"):
        call("get_variable", name="count")


def test_ml_workflow(call: Any) -> None:
    assert call("load_data", values=[1.0, 2.0, 3.0]) == {"count": 3}
    model = call("train")
    assert model["mean"] == 2.0
    assert call("predict", value=2.0) == {"value": 2.0, "distance": 0.0, "usual": True}
    assert not call("predict", value=99.0)["usual"]


def test_the_template(others: snakepit.Client) -> None:
    session = others.create_session(f"s-{uuid.uuid4().hex}")
    told = others.call("echo", session, message="hello").value
    assert told == {"message": "hello", "session_id": session.id}
    assert others.call("remember", session, name="x", value=[1]).value == [1]
    assert session["x"] == [1]
    counted = list(others.stream("count", session, to=3))
    assert counted == [{"number": 1}, {"number": 2}, {"number": 3}]


def test_the_threaded_showcase(others: snakepit.Client) -> None:
    def compute(_: int) -> str:
        return str(others.call("compute", ms=150).value["thread"])

    with ThreadPoolExecutor(8) as pool:
        threads = list(pool.map(compute, range(8)))
    assert len(set(threads)) > 1
    counted = others.call("stats").value
    assert sum(counted.values()) == 8
    steps = list(others.stream("progress", steps=3))
    assert steps == [{"step": 1}, {"step": 2}, {"step": 3}]
