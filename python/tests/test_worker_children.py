"""The processes that a tool starts say whose they are."""

from __future__ import annotations

import pytest

from tests.fake_node import FakeNode
from tests.zygote import Zygote, subreaper

NAME = "SNAKEPIT_WORKER_PID"


def test_children_of_a_spawned_worker(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the worker itself inherited does not count.
    monkeypatch.setenv(NAME, "1")
    link, worker = node.start()
    assert link.ask("child_environment", name=NAME) == str(worker.pid)


def test_children_of_a_forked_worker(node: FakeNode) -> None:
    with subreaper():
        zygote = Zygote(node)
        try:
            assert zygote.ready()
            worker = zygote.fork("w1")
            link = node.links.get(timeout=20)
            assert link.ask("child_environment", name=NAME) == str(worker.pid)
        finally:
            zygote.close()
