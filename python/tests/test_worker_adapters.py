"""Kinds of adapters: modules, classes, execute_tool, instances, sessions."""

from __future__ import annotations

import pytest

from tests.fake_node import FakeNode, Link


def test_an_instance_serves_one_request(node: FakeNode) -> None:
    link, _ = node.start("tests.adapters.PerRequest")
    assert {spec.name for spec in link.hello.tools} >= {"count", "log"}
    assert [link.ask("count") for _ in range(3)] == [1, 1, 1]
    assert link.error(link.call("fail")).type == "KeyError"
    assert link.ask("log") == ["initialize", "cleanup"] * 4 + ["initialize"]


def test_an_instance_lives_while_its_stream_does(node: FakeNode) -> None:
    link, _ = node.start("tests.adapters.PerRequest")
    assert link.result(link.call("stream", n=3, stream=True)).success


@pytest.mark.parametrize("by", ["class", "environment"])
def test_an_instance_serves_the_worker(node: FakeNode, by: str) -> None:
    if by == "class":
        link, _ = node.start("tests.adapters.PerWorker")
    else:
        link, _ = node.start("tests.adapters.PerRequest", SNAKEPIT_WORKER_INSTANCE="worker")
    assert [link.ask("count") for _ in range(3)] == [1, 2, 3]
    assert link.ask("log") == ["initialize"]


@pytest.mark.parametrize("adapter", ["PerRequest", "PerWorker"])
@pytest.mark.parametrize("tool", ["session_id", "session_id_async"])
def test_self_session_is_the_callers(node: FakeNode, adapter: str, tool: str) -> None:
    link, _ = node.start(f"tests.adapters.{adapter}")
    assert link.value(link.call(tool, session="s1")) == "s1"
    assert "no session" in link.error(link.call(tool)).message


def test_execute_tool_takes_every_name(node: FakeNode) -> None:
    link, _ = node.start("tests.adapters.Plain")
    assert {spec.name: dict(spec.metadata) for spec in link.hello.tools}["execute_tool"] == {
        "dispatch": "any"
    }
    assert link.value(link.call("ignored", session="s1", a=1)) == {
        "tool": "ignored",
        "arguments": {"a": 1},
        "session": "s1",
        "same": True,
    }
    assert link.result(link.call("numbers", n=2, stream=True)).success


def test_execute_tool_may_be_async(node: FakeNode) -> None:
    link, _ = node.start("tests.adapters.AsyncPlain")
    assert link.ask("any", a=1) == ["any", {"a": 1}]


def test_state_goes_through_the_node_under_the_calls_token(node: FakeNode, link: Link) -> None:
    first = link.call("put", session="s1", name="x", value={"a": [1, 2.5]})
    assert link.value(first) == "s1"
    assert link.value(link.call("look", session="s1", name="x")) == {"a": [1, 2.5]}
    assert link.value(link.call("look_async", session="s1", name="x")) == {"a": [1, 2.5]}
    tokens = {name: sent.get("x-snakepit-call-token") for name, sent in node.bridge.metadata}
    assert tokens == {"SetVariable": "token-1", "RegisterVariable": "token-1", "GetVariable": "token-3"}
    missing = link.error(link.call("look", session="s1", name="y"))
    assert (missing.type, missing.message) == ("VariableNotFoundError", "Variable not found: y")


@pytest.mark.parametrize(
    ("adapter", "settings", "complaint"),
    [
        ("tests.adapters.Empty", {}, b"has no tools"),
        ("tests.adapters.Missing", {}, b"tests.adapters has no class Missing"),
        ("nowhere.at.all", {}, b"there is no module nowhere.at"),
        ("tests.tools", {"SNAKEPIT_WORKER_SLOTS": "0"}, b"SNAKEPIT_WORKER_SLOTS is '0'"),
        (
            "tests.adapters.Plain",
            {"SNAKEPIT_WORKER_SLOTS": "2", "SNAKEPIT_WORKER_INSTANCE": "worker"},
            b"one instance per request",
        ),
    ],
)
def test_what_cannot_work_is_said_at_the_start(
    node: FakeNode, adapter: str, settings: dict[str, str], complaint: bytes
) -> None:
    worker = node.spawn(adapter, **settings)
    _, err = worker.communicate(timeout=20)
    assert complaint in err
    assert worker.returncode == 2
