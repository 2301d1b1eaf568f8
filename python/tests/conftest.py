"""Fixtures: a fake node, closed with its workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fake_node import FakeNode, Link

# A busy machine is slow, not wrong; a failure prints what repeats it.
settings.register_profile(
    "snakepit", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("snakepit")


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
