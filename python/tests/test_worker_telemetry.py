"""Events of tools and of the runtime, as the node asks for them."""

from __future__ import annotations

import time

from snakepit import telemetry
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.worker._telemetry import WAITING_MAX, Telemetry
from tests.fake_node import FakeNode, Link


def _names(link: Link) -> list[str]:
    return [".".join(event.event_parts) for event in link.events]


def _on(link: Link, *allow: str) -> None:
    link.telemetry(filter=pb.TelemetryEventFilter(allow=allow))
    link.telemetry(toggle=pb.TelemetryToggle(enabled=True))


def test_nothing_is_sent_until_it_is_asked_for(link: Link) -> None:
    link.ask("measure")
    before = link.heartbeats
    link.wait(lambda: link.heartbeats >= before + 3)
    assert link.events == []
    telemetry.emit("nobody.listens")


def test_the_runtime_tells_of_calls(link: Link) -> None:
    _on(link, "python.*")
    good = link.call("echo", value=1)
    link.value(good)
    link.error(link.call("fail"))
    link.value(link.call("nap_async", ms=10))
    assert link.wait(lambda: sum("execution" in name for name in _names(link)) == 6)
    start, stop, _, exception, _, last = (e for e in link.events if "execution" in e.event_parts)
    assert list(start.event_parts) == ["python", "tool", "execution", "start"]
    assert dict(start.metadata) == {"tool": "echo", "call_id": f"c{good}"}
    assert list(stop.event_parts)[-1] == "stop"
    assert stop.measurements["duration"].int_value > 0
    assert abs(stop.timestamp_ns - time.time_ns()) < 60e9
    assert list(exception.event_parts)[-1] == "exception"
    assert exception.metadata["error_type"] == "ValueError"
    assert last.measurements["duration"].int_value >= 10_000_000
    assert link.wait(lambda: "python.memory.sampled" in _names(link))
    memory = next(e for e in link.events if "memory" in e.event_parts)
    assert memory.measurements["rss_bytes"].int_value > 1_000_000


def test_tools_emit_under_the_calls_correlation_id(link: Link) -> None:
    _on(link, "model.*")
    for tool in ("measure", "measure_async"):
        link.value(link.call_many([(tool, {})], metadata={"correlation_id": f"c-{tool}"})[0])
    assert link.wait(lambda: len(link.events) == 6)
    assert _names(link)[:3] == ["model.loaded", "model.fit.start", "model.fit.stop"]
    loaded, _, stop = link.events[:3]
    assert loaded.measurements["bytes"].int_value == 12
    assert loaded.measurements["share"].float_value == 0.5
    assert loaded.metadata["name"] == "tiny"
    assert dict(stop.metadata) == {"kind": "ridge", "rounds": "3"}
    assert {e.correlation_id for e in link.events[:3]} == {"c-measure"}
    assert {e.correlation_id for e in link.events[3:]} == {"c-measure_async"}


def test_filters_and_sampling(link: Link) -> None:
    _on(link, "model.*")
    link.telemetry(filter=pb.TelemetryEventFilter(allow=["model.*"], deny=["*.start"]))
    link.ask("measure")
    assert link.wait(lambda: len(link.events) == 2)
    link.telemetry(sampling=pb.TelemetrySamplingUpdate(sampling_rate=0, event_patterns=["model.fit.*"]))
    link.ask("measure")
    assert link.wait(lambda: len(link.events) == 3)
    link.telemetry(toggle=pb.TelemetryToggle(enabled=False))
    link.ask("measure")
    before = link.heartbeats
    link.wait(lambda: link.heartbeats >= before + 3)
    assert _names(link) == ["model.loaded", "model.fit.stop", "model.loaded"]


def test_what_the_node_is_too_slow_for_is_dropped_and_counted() -> None:
    waiting = Telemetry()
    waiting.apply(pb.TelemetryControl(toggle=pb.TelemetryToggle(enabled=True)))
    for _ in range(WAITING_MAX + 5):
        waiting.take(pb.TelemetryEvent())
    sent, dropped = 0, 0
    while (message := waiting.message()) is not None:
        sent += len(message.telemetry.events)
        dropped = message.telemetry.dropped
    assert (sent, dropped) == (WAITING_MAX, 5)
    waiting.begin()
    assert waiting.message() is None


def test_callbacks_carry_the_correlation_id(node: FakeNode, link: Link) -> None:
    for tool, arguments in (("put", {"name": "x", "value": 1}), ("look_async", {"name": "x"})):
        sequence = link.call_many([(tool, arguments)], session="s1", metadata={"correlation_id": "c9"})[0]
        link.value(sequence)
    link.value(link.call("look", session="s1", name="x"))
    # One that fits into no header is left out.
    link.value(link.call_many([("look", {"name": "x"})], session="s1", metadata={"correlation_id": "ä\n"})[0])
    ids = [sent.get("x-snakepit-correlation-id") for _, sent in node.bridge.metadata]
    assert ids[-2:] == [None, None]
    assert set(ids[:-2]) == {"c9"}


def test_callbacks_belong_to_the_calls_trace(node: FakeNode, link: Link) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = ({"traceparent": parent, "tracestate": "a=1,b=2"}, {"traceparent": parent}, {"tracestate": "a=1"})
    link.value(link.call("put", session="s1", name="x", value=1))
    node.bridge.metadata.clear()
    wrong = ({"traceparent": f"{parent}\n"}, {"traceparent": parent, "tracestate": "ä"})
    for metadata in (*told, *wrong):
        link.value(link.call_many([("look", {"name": "x"})], session="s1", metadata=metadata)[0])
    sent = [(one.get("traceparent"), one.get("tracestate")) for _, one in node.bridge.metadata]
    assert sent == [(parent, "a=1,b=2"), (parent, None), (None, None), (None, None), (parent, None)]
