"""What calls print: in their results, and in the log under their names."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snakepit import _graceful
from tests.fake_node import FakeNode, Link, terminate

Told = tuple[Link, Callable[[], list[str]]]


@pytest.fixture
def told(node: FakeNode, tmp_path: Path) -> Iterator[Told]:
    """A link, and a function that ends the worker and gives its log."""
    path = tmp_path / "log"
    with path.open("wb") as log:
        node.stderr = log
        link, worker = node.start(SNAKEPIT_WORKER_SLOTS="4")

        def lines() -> list[str]:
            terminate(worker)
            assert worker.wait(20) == 0
            assert worker.stdout is not None
            assert worker.stdout.read() == b""
            return path.read_text().splitlines()

        yield link, lines


def test_prints_are_in_the_result_and_in_the_log(told: Told) -> None:
    link, log = told
    call = link.call("say", text="one\ntwo")
    result = link.result(call)
    assert (result.stdout, result.stderr) == ("one\ntwo\n", "")
    both = link.result(link.call("say_both", text="x"))
    assert (both.stdout, both.stderr) == ("out x", "err x\n")
    silent = link.result(link.call("echo", value=1))
    assert (silent.stdout, silent.stderr) == ("", "")
    lines = log()
    assert f"INFO tool.say [c{call}]: one" in lines
    assert f"INFO tool.say [c{call}]: two" in lines
    assert "INFO tool.say_both [c2]: out x" in lines
    assert "WARNING tool.say_both [c2]: err x" in lines


def test_output_of_concurrent_calls_is_not_mixed(told: Told) -> None:
    link, _ = told
    calls = {}
    for tool in ("chat", "chat_async", "chat_threaded"):
        for mark in ("a", "b"):
            calls[link.call(tool, mark=f"{tool}-{mark}", times=5)] = f"{tool}-{mark}"
    for sequence, mark in calls.items():
        assert link.result(sequence).stdout == f"{mark}\n" * 5


def test_an_error_has_its_output(told: Told) -> None:
    link, _ = told
    result = link.result(link.call("say_and_fail", text="before"))
    assert not result.success
    assert result.stdout == "before\n"


def test_the_newest_16_kib_are_kept(told: Told) -> None:
    link, log = told
    result = link.result(link.call("say_many", lines=5000))
    assert len(result.stdout.encode()) == 16 * 1024
    assert result.stdout.endswith("ä 4998\nä 4999\n")
    lines = log()
    assert any(line.endswith("]: ä 0") for line in lines)
    assert sum("tool.say_many" in line for line in lines) == 5000


def test_a_stream_has_its_output(told: Told) -> None:
    link, _ = told
    for tool in ("say_stream", "say_stream_async"):
        assert link.result(link.call(tool, n=3, stream=True)).stdout == "0\n1\n2\n"


def test_output_beside_a_full_result_fits() -> None:
    node = FakeNode(message_bytes_max=70_000)
    node.stderr = subprocess.DEVNULL
    try:
        link, _ = node.start()
        result = link.result(link.call("say_and_return", lines=5000, size=60_000))
        assert result.success
        assert 0 < len(result.stdout) < 8000
        # A batch is no larger than a message either.
        for sequence in link.call_many([("say_and_return", {"lines": 2000, "size": 1})] * 30):
            assert len(link.result(sequence).stdout) > 12_000
    finally:
        node.close()


def test_foreign_output_goes_to_the_log(told: Told) -> None:
    link, log = told
    result = link.result(link.call("say_below", text="from C"))
    assert (result.stdout, result.stderr) == ("", "")
    assert "from C" in log()


def test_secrets_are_in_no_output(told: Told) -> None:
    link, log = told
    for tool in ("say", "say_and_fail"):
        result = link.result(link.call(tool, text="Authorization: Bearer abcdef123456 password=hunter2"))
        assert "abcdef123456" not in result.stdout
        assert "hunter2" not in result.stdout
        assert "Bearer ***" in result.stdout
    error = link.error(link.call("fail_with", text="the api_key: 'k-123' is wrong, and token=t0p"))
    assert error.message == "the api_key: *** is wrong, and token=***"
    assert "k-123" not in error.traceback
    assert "t0p" not in error.traceback
    text = "\n".join(log())
    assert "hunter2" not in text


def test_redaction_takes_linear_time() -> None:
    for text in ("x", "token", "a=", "token ", "token:", "bearer ", "'token", "sk-", "-token- = "):
        _graceful.redact(text * (200_000 // len(text)))
    _graceful.redact("token" + " " * 200_000)
    assert _graceful.redact('a=token=xyz; my-token : \'a b\' {"api_key": "v"}') == (
        'a=token=***; my-token : *** {"api_key": ***}'
    )


def test_call_names_cannot_forge_a_line(node: FakeNode) -> None:
    link, worker = node.start("tests.adapters.Talker")
    link.result(link.call("a]: x\nERROR b"))
    terminate(worker)
    err = worker.communicate(timeout=20)[1].decode()
    assert "INFO tool.a?: x?ERROR b [c1]: said" in err
