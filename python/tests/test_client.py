"""The client and its sessions, against the fake bridge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import grpc
import pytest

import snakepit
from snakepit import _values, errors
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.demo import __main__ as demo
from snakepit.demo import _search, digits
from tests.fake_node import FakeNode


@pytest.fixture
def client(node: FakeNode) -> Iterator[snakepit.Client]:
    with snakepit.connect(f"unix:{node.socket}", principal="ada", timeout_s=10) as client:
        yield client


@pytest.fixture
def session(client: snakepit.Client) -> snakepit.Session:
    return client.create_session("s2", ttl_s=60)


def test_variables(session: snakepit.Session) -> None:
    registered = session.register("x", 1.5, constraints={"min": 0}, metadata={"unit": "m"})
    assert (registered.id, registered.version) == ("var_x_1", 1)
    assert session.get("x") == 1.5
    assert session.set("x", 2.5) == 2
    read = session.variable("x")
    assert (read.name, read.type, read.value, read.version) == ("x", "float", 2.5, 2)
    assert (read.constraints, read.metadata["unit"]) == ({"min": 0}, "m")
    assert read.updated_at.tzinfo is UTC
    with pytest.raises(errors.AlreadyExists):
        session.register("x", "text")
    session.delete("x")
    with pytest.raises(snakepit.VariableNotFoundError):
        session.get("x")
    assert session.get("x", 7) == 7


def test_compare_and_set(session: snakepit.Session) -> None:
    session.register("n", 1)
    assert session.set("n", 2, expected_version=1) == 2
    with pytest.raises(errors.Conflict) as caught:
        session.set("n", 3, expected_version=1)
    assert not caught.value.maybe_done
    assert session.change("n", lambda n: n + 10) == 12
    seen: list[int] = []

    def race(n: int) -> int:
        if not seen:
            session.set("n", 100)
        seen.append(n)
        return n + 1

    assert session.change("n", race) == 101
    assert seen == [12, 100]


def test_several_at_once(session: snakepit.Session) -> None:
    session.register("a", 1)
    session.register("b", b"\0")
    assert session.update({"a": 2, "b": b"\1"}) == {"a": 2, "b": 2}
    assert session.get_many("a", "b") == {"a": 2, "b": b"\1"}
    with pytest.raises(errors.Conflict):
        session.update({"a": 3, "b": b"\2"}, expected_versions={"a": 1})
    with pytest.raises(snakepit.VariableNotFoundError):
        session.update({"a": 3, "c": 1})
    with pytest.raises(snakepit.VariableNotFoundError, match="c, d"):
        session.get_many("a", "c", "d")
    assert session["a"] == 2


def test_as_a_mapping(session: snakepit.Session) -> None:
    for name in ("one", "two", "three"):
        session[name] = name
    session["one"] = "1"
    assert list(session) == ["one", "three", "two"]
    assert len(session) == 3
    assert [variable.value for variable in session.list_variables("t*")] == ["three", "two"]
    del session["two"]
    assert "two" not in session
    assert "one" in session
    assert session["one"] == "1"


def test_the_session_itself(client: snakepit.Client, session: snakepit.Session) -> None:
    assert session.info().id == "s2"
    assert session.touch()
    assert session.delete_session()
    assert not session.touch()
    with pytest.raises(errors.SessionNotFoundError):
        session.get("x")
    with pytest.raises(errors.Invalid):
        client.session("").get("x")


def _ok(request: pb.ExecuteToolRequest) -> pb.ExecuteToolResponse:
    value, _ = _values.encode({"of": request.session_id, "n": _values.decode(request.parameters["n"])})
    return pb.ExecuteToolResponse(
        success=True, result=value, node_id=3, worker_id="w", call_id="c", execution_time_ms=12
    )


def test_calls(node: FakeNode, client: snakepit.Client) -> None:
    node.bridge.tools["ok"] = _ok
    result = client.call("ok", "s1", n=5)
    assert result.value == {"of": "s1", "n": 5}
    assert (result.node_id, result.worker_id, result.call_id, result.execution_time_ms) == (3, "w", "c", 12)
    assert node.bridge.metadata[-1][1]["x-snakepit-principal"] == "ada"
    assert client.call_with("ok", {"n": 1, "timeout_s": 2}).value["n"] == 1
    assert client.ping("hello") == "hello"


def test_a_tools_exception(node: FakeNode, client: snakepit.Client) -> None:
    error = pb.ToolError(type="ValueError", message="bad", traceback="…")
    node.bridge.tools["bad"] = lambda _: pb.ExecuteToolResponse(error=error, error_message="bad")
    with pytest.raises(snakepit.ToolError, match="ValueError: bad"):
        client.call("bad")


def test_streams(client: snakepit.Client) -> None:
    assert list(client.stream("count")) == [0, 1, 2]
    seen: list[int] = []
    with pytest.raises(errors.Unavailable) as caught:
        seen.extend(client.stream("breaks"))
    assert caught.value.maybe_done
    assert seen == [0, 1, 2]
    with pytest.raises(snakepit.ToolError, match="ValueError: half way"):
        list(client.stream("raises"))


def test_a_retry_keeps_the_request_id(node: FakeNode, session: snakepit.Session) -> None:
    session.register("x", 1)
    node.bridge.metadata.clear()
    node.bridge.fail_next = [
        (grpc.StatusCode.UNAVAILABLE, "no leader"),
        (grpc.StatusCode.UNKNOWN, "lost after proposing"),
    ]
    assert session.set("x", 2) == 2
    ids = {sent["x-snakepit-request-id"] for _, sent in node.bridge.metadata}
    assert len(node.bridge.metadata) == 3
    assert len(ids) == 1


def test_calls_of_tools_are_not_repeated_when_maybe_done(node: FakeNode, client: snakepit.Client) -> None:
    node.bridge.tools["ok"] = _ok
    node.bridge.fail_next = [(grpc.StatusCode.UNKNOWN, "the worker died")]
    with pytest.raises(errors.Unknown, match="the worker died"):
        client.call("ok", n=1)
    assert not node.bridge.fail_next
    node.bridge.fail_next = [(grpc.StatusCode.UNAVAILABLE, "draining")]
    assert client.call("ok", n=1, request_id="r1").value["n"] == 1
    assert [sent["x-snakepit-request-id"] for _, sent in node.bridge.metadata[-2:]] == ["r1", "r1"]


def test_a_dead_node_is_passed_over(node: FakeNode) -> None:
    dead = f"unix:{node.socket}.dead"
    with snakepit.connect([dead, f"unix:{node.socket}"], timeout_s=10) as client:
        assert client.ping("1") == "1"
    with snakepit.connect(dead, timeout_s=0.3) as client, pytest.raises(errors.Unavailable) as caught:
        client.ping()
    assert not caught.value.maybe_done


def test_endpoints_come_from_the_environment(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.Invalid, match="no endpoints"):
        snakepit.connect([])
    monkeypatch.setenv("SNAKEPIT_ENDPOINTS", f"unix:{node.socket}, ")
    with snakepit.connect() as client:
        assert client.ping("x") == "x"
    with pytest.raises(errors.Invalid, match="closed"):
        client.ping("x")


@pytest.fixture
def digits_node(node: FakeNode) -> Iterator[FakeNode]:
    """A fake node that runs the digits tool by itself."""
    # The tool runs under the fake's lock, so its callbacks go to another fake with the same rows.
    inner = FakeNode()
    inner.bridge.sessions = node.bridge.sessions
    client = snakepit.connect(f"unix:{inner.socket}")

    def train(request: pb.ExecuteToolRequest) -> pb.ExecuteToolResponse:
        trial = _values.decode(request.parameters["trial"])
        answer = digits.train_and_score(client.session(request.session_id), trial)
        return pb.ExecuteToolResponse(
            success=True, result=_values.encode(answer)[0], node_id=1, worker_id="w"
        )

    node.bridge.tools["train_and_score"] = train
    yield node
    client.close()
    inner.close()


def test_the_search_over_the_digits(
    digits_node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    arguments = [
        "demo",
        "--endpoints",
        f"unix:{digits_node.socket}",
        "--events",
        str(events),
        "--trials",
        "3",
    ]
    monkeypatch.setattr("sys.argv", arguments)
    digits_node.bridge.fail_next = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full")]
    assert demo.main() == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["trial"] for record in records] == [1, 2, 3]
    assert list(records[0]) == ["trial", "params", "score", "node", "worker", "ms", "at_ms"]
    best = max(records, key=lambda record: record["score"])
    assert best["score"] > 0.8
    told = [json.loads(line) for line in events.read_text().splitlines()]
    summary = told[-1]
    assert (summary["event"], summary["trials"], summary["failures"]) == ("summary", 3, 1)
    assert (summary["best_score"], summary["best_trial"]) == (best["score"], best["trial"])
    assert summary["largest_gap_ms"] == max(record.get("gap_ms", 0) for record in told)
    assert {record["event"] for record in told} == {"step", "failure", "summary"}


def test_a_trial_that_runs_twice_scores_the_same(digits_node: FakeNode) -> None:
    with snakepit.connect(f"unix:{digits_node.socket}") as client:
        session = _search.prepare(client, _search.Steps(lambda _: None), "twice")
        first = client.call("train_and_score", session, trial=1).value
        again = client.call("train_and_score", session, trial=1).value
        assert first == again
        assert first["best"]
        assert not client.call("train_and_score", session, trial=2).value["best"]
        assert session.variable("best_trial").version == 2
