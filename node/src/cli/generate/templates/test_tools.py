"""Tests of {{name}}; run them with `pytest` where this file is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from snakepit import Session
from snakepit.worker._host import load

import {{name}}


class FakeSession(dict[str, Any]):
    """As much of a session as the tools use."""

    def change(self, name: str, function: Callable[[Any], Any]) -> Any:
        """Read, apply, write."""
        self[name] = function(self[name])
        return self[name]


def test_workers_find_the_tools() -> None:
    assert sorted(load("{{adapter}}").entries) == ["add_up", "count", "greet"]


def test_greet() -> None:
    assert {{name}}.greet("ada") == {"text": "hello ada"}
    assert {{name}}.greet("ada", loud=True) == {"text": "HELLO ADA"}


def test_add_up_keeps_its_total_in_the_session() -> None:
    session = cast(Session, FakeSession())
    assert {{name}}.add_up(session, 2.5) == 2.5
    assert {{name}}.add_up(session, 1.5) == 4.0


def test_count_marks_its_last_chunk() -> None:
    chunks = list({{name}}.count(3))
    assert [chunk.data["number"] for chunk in chunks] == [1, 2, 3]
    assert [chunk.is_final for chunk in chunks] == [False, False, True]
