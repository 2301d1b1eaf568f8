"""Fixtures: a fake node, closed with its workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.cluster import Cluster
from tests.fake_node import FakeNode, Link

# A busy machine is slow, not wrong; a failure prints what repeats it.
settings.register_profile(
    "snakepit", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("snakepit")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of the real thing, without workers; a test that kills one starts it again."""
    binary = os.environ.get("SNAKEPIT_BIN")
    if not binary:
        pytest.skip("SNAKEPIT_BIN names no binary; scripts/test sets it")
    cluster = Cluster(binary, tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.close()


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
