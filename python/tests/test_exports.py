"""What the package offers, and nothing else; one descriptor pool for all names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import snakepit
from snakepit._proto import snakepit_bridge_pb2, snakepit_bridge_pb2_grpc
from tests import methods


def test_the_exports_are_the_documented_ones() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    documented = {
        line.split("`")[1]
        for line in readme.splitlines()
        if line.startswith("| `") and not line.startswith("| `SNAKEPIT")
    }
    assert set(snakepit.__all__) == documented
    assert sorted(snakepit.__all__) == list(snakepit.__all__)
    for name in snakepit.__all__:
        assert getattr(snakepit, name).__doc__, name


def test_names_of_snakepit_are_the_same_modules() -> None:
    import snakepit_bridge_pb2 as messages
    import snakepit_bridge_pb2_grpc as service

    assert messages is snakepit_bridge_pb2
    assert service is snakepit_bridge_pb2_grpc
    assert callable(service.BridgeServiceStub)


def test_old_names_may_come_first() -> None:
    program = (
        "import snakepit_bridge_pb2_grpc, snakepit_bridge_pb2, snakepit; print(snakepit_bridge_pb2.Variable)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, check=True)
    assert b"snakepit._proto.snakepit_bridge_pb2.Variable" in done.stdout


def test_the_worker_starts_without_what_it_may_not_need() -> None:
    program = (
        "import sys, snakepit.worker._worker; print([m for m in ('numpy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_the_table_of_methods_is_that_of_the_schema() -> None:
    for method in methods.ALL:
        known = methods.described(method)
        assert known.input_type is method.request.DESCRIPTOR
        assert known.output_type is method.response.DESCRIPTOR


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        # `v` reads and writes where nothing can wait.
        (snakepit.Session, snakepit.AsyncSession, {"v"}),
        (snakepit.Client, snakepit.AsyncClient, set()),
        (snakepit.Optimization, snakepit.AsyncOptimization, set()),
        (snakepit.Programs, snakepit.AsyncPrograms, set()),
        (snakepit.Service, snakepit.AsyncService, {"start"}),
        (snakepit.ToolStream, snakepit.AsyncToolStream, {"close", "aclose"}),
        (snakepit.Watch, snakepit.AsyncWatch, {"close", "aclose"}),
    ],
)
def test_both_surfaces_offer_the_same(one: type, other: type, apart: set[str]) -> None:
    assert _public(one) ^ _public(other) == apart
    for name in _public(one) & _public(other):
        if inspect.isfunction(getattr(one, name)):
            ours, theirs = inspect.signature(getattr(one, name)), inspect.signature(getattr(other, name))
            assert list(ours.parameters) == list(theirs.parameters), name
