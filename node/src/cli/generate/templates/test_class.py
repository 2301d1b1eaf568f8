"""Tests of {{class}}; run them with `pytest` where this file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from snakepit import Session
from snakepit.worker._host import load

from {{name}} import {{class}}


class FakeSession(dict[str, Any]):
    """As much of a session as the tools use."""

    def change(self, name: str, function: Callable[[Any], Any]) -> Any:
        """Read, apply, write."""
        self[name] = function(self[name])
        return self[name]


@pytest.fixture
def adapter() -> Iterator[{{class}}]:
    """An instance, as a worker makes one for a request."""
    made = {{class}}()
    made.initialize()
    yield made
    made.cleanup()


def test_workers_find_the_tools() -> None:
    assert sorted(load("{{adapter}}").entries) == ["add_up", "count", "greet"]


def test_greet(adapter: {{class}}) -> None:
    assert adapter.greet("ada")["text"] == "hello ada"
    assert adapter.greet("ada", loud=True)["text"] == "HELLO ADA"


def test_add_up_keeps_its_total_in_the_session(adapter: {{class}}) -> None:
    session = cast(Session, FakeSession())
    assert adapter.add_up(session, 2.5) == 2.5
    assert adapter.add_up(session, 1.5) == 4.0


def test_count_marks_its_last_chunk(adapter: {{class}}) -> None:
    chunks = list(adapter.count(3))
    assert [chunk.data["number"] for chunk in chunks] == [1, 2, 3]
    assert [chunk.is_final for chunk in chunks] == [False, False, True]
