"""Calls, results and errors, through a real worker process."""

from __future__ import annotations

import json
import platform

import pytest

import snakepit
from tests.fake_node import FakeNode, Link, terminate


def test_hello_describes_the_worker(link: Link) -> None:
    hello = link.hello
    assert (hello.protocol, hello.worker_id, hello.adapter) == (1, "w1", "tests.tools")
    assert (hello.slots, hello.credits) == (1, 66)
    assert hello.python_version == platform.python_version()
    assert hello.sdk_version == snakepit.__version__
    specs = {spec.name: spec for spec in hello.tools}
    assert "not_a_tool" not in specs
    echo = specs["echo"]
    assert echo.description == "Give it back."
    assert dict(echo.metadata) == {"idempotent": "true", "cost": "low"}
    assert [(p.name, p.type, p.required) for p in echo.parameters] == [
        ("value", "any", False),
        ("factor", "integer", False),
    ]
    assert specs["ran"].description == "What has run so far."
    assert specs["count"].supports_streaming
    assert not echo.supports_streaming
    assert [p.name for p in specs["put"].parameters] == ["name", "value"]
    assert [p.name for p in specs["look"].parameters] == ["name"]


@pytest.mark.parametrize("value", [None, True, 2**80, 1.5, "ä", b"\0\xff", [1, {"a": [None]}], {"b": b"x"}])
def test_values_come_back(link: Link, value: object) -> None:
    back = link.ask("echo", value=value)
    assert back == value
    assert type(back) is type(value)


def test_a_batch_is_answered_in_batches(link: Link) -> None:
    sequences = link.call_many([("echo", {"value": n}) for n in range(64)])
    assert [link.value(sequence) for sequence in sequences] == list(range(64))
    answers = [m for m in link.messages if m.HasField("results")]
    assert len(answers) < 64
    assert all(len(m.results.results) <= 64 for m in answers)


def test_heartbeats_come_while_a_sync_tool_runs(link: Link) -> None:
    nap = link.call("nap", ms=400)
    assert link.wait(lambda: any(m.heartbeat.running == 1 for m in link.messages))
    before = link.heartbeats
    link.value(nap)
    assert link.heartbeats >= before + 2
    assert any(m.heartbeat.rss_bytes > 1_000_000 for m in link.messages)


def test_exceptions_are_outcomes(link: Link) -> None:
    error = link.error(link.call("fail"))
    assert (error.type, error.message) == ("ValueError", "as asked")
    assert 'raise ValueError("as asked")' in error.traceback
    assert "snakepit/worker/" not in error.traceback
    assert link.error(link.call("leave")).type == "SystemExit"
    assert link.error(link.call("echo", nonsense=1)).type == "TypeError"
    deep = link.error(link.call("deep", levels=200))
    assert deep.type == "Invalid"
    assert "nested more than 100 deep" in deep.message
    missing = link.error(link.call("missing"))
    assert missing.type == "ToolNotFound"
    assert "tests.tools has" in missing.message
    assert link.ask("echo", value="still here") == "still here"


def test_objects_are_converted_or_marked(link: Link) -> None:
    assert link.ask("odd") == {"__ffi_unserializable__": True, "__type__": "builtins.object"}
    assert link.ask("objects") == {
        "point": {"x": 1, "y": [2]},
        "day": "2024-02-29",
        "set": {"__ffi_unserializable__": True, "__type__": "builtins.set"},
        "bytes": b"x",
        "nan": {"deep": [float("inf")]},
    }
    chunks = link.call("stream_objects", stream=True)
    assert link.result(chunks).success
    assert json.loads(link.chunks[chunks][0].data) == {"x": 1, "y": "2024-02-29"}
    assert link.chunks[chunks][0].is_final


def test_arrays_in_results_with_objects_are_what_they_are_without(link: Link) -> None:
    found = link.ask("arrays")
    assert found["array"] == [[1.0, float("inf")], [2.0, 3.0]]
    assert found["scalar"] == 7
    assert found["date"] == ["2024-02-29"]
    assert found["object"]["__type__"] == "builtins.object"


def test_a_result_beyond_the_limit_is_an_error() -> None:
    node = FakeNode(message_bytes_max=100_000)
    try:
        link, _ = node.start()
        assert link.ask("big", size=90_000) == "x" * 90_000
        error = link.error(link.call("big", size=200_000))
        assert error.type == "Exhausted"
        assert "100000" in error.message
    finally:
        node.close()


def test_more_calls_than_credits_are_refused(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_CREDITS="2")
    sequences = link.call_many([("nap", {"ms": 100})] * 3)
    assert link.error(sequences[2]).type == "Exhausted"
    assert link.value(sequences[1])


def test_slots_run_at_once(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="3")
    names = {link.value(sequence) for sequence in link.call_many([("nap", {"ms": 300})] * 3)}
    assert len(names) == 3


def test_async_tools_share_the_slots(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="2")
    calls = [("nap_async", {"ms": 200}), ("nap_async", {"ms": 200}), ("echo", {"value": 1})]
    first, second, third = link.call_many(calls)
    assert link.value(third) == 1
    assert first in link.results or second in link.results


def test_thread_sensitive_tools_have_one_thread(node: FakeNode) -> None:
    link, _ = node.start(SNAKEPIT_WORKER_SLOTS="3")
    names = {link.value(sequence) for sequence in link.call_many([("where", {"ms": 20})] * 6)}
    assert names == {"snakepit-sensitive"}


def test_a_result_does_not_wait_for_a_slow_successor(link: Link) -> None:
    quick = [("echo", {"value": n}) for n in range(20)]
    for sequence in link.call_many(quick):
        link.value(sequence)
    *sequences, slow = link.call_many([*quick, ("nap", {"ms": 1500})])
    for sequence in sequences:
        link.value(sequence)
    assert slow not in link.results


def test_prints_go_to_standard_error(node: FakeNode) -> None:
    link, worker = node.start()
    link.ask("say", text="hello from the tool")
    terminate(worker)
    out, err = worker.communicate(timeout=10)
    assert out == b""
    assert b"hello from the tool" in err
