"""Tests of {{class}}; run them with `pytest` where this file is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from snakepit.worker._host import load
from snakepit_bridge import SessionContext

from {{name}} import {{class}}


class FakeContext(dict[str, Any]):
    """As much of a session's context as the tools use."""

    session_id = "test"


@pytest.fixture
def adapter() -> Iterator[{{class}}]:
    """An instance, as a worker makes one for a request."""
    made = {{class}}()
    made.set_session_context(cast(SessionContext, FakeContext()))
    asyncio.run(made.initialize())
    yield made
    asyncio.run(made.cleanup())


def test_workers_find_the_tools() -> None:
    assert sorted(load("{{adapter}}").entries) == ["add_up", "count", "greet"]


def test_greet(adapter: {{class}}) -> None:
    assert adapter.greet("ada") == {"text": "hello ada", "session_id": "test"}
    assert adapter.greet("ada", loud=True)["text"] == "HELLO ADA"


def test_add_up_keeps_its_total_in_the_session(adapter: {{class}}) -> None:
    assert adapter.add_up(2.5) == 2.5
    assert adapter.add_up(1.5) == 4.0


def test_count_marks_its_last_chunk(adapter: {{class}}) -> None:
    chunks = list(adapter.count(3))
    assert [chunk.data["number"] for chunk in chunks] == [1, 2, 3]
    assert [chunk.is_final for chunk in chunks] == [False, False, True]
