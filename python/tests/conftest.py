"""Fixtures: a fake node, closed with its workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fake_node import FakeNode, Link


@pytest.fixture
def node() -> Iterator[FakeNode]:
    node = FakeNode()
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def link(node: FakeNode) -> Link:
    """A worker with the tools of `tests.tools` and one slot."""
    return node.start()[0]
