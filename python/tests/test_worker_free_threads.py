"""Slots of concurrency `thread` where the interpreter runs threads at once; skipped where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit.worker import _hello
from tests.fake_node import FakeNode, Link

SOURCE = Path(snakepit.__file__).parent.parent
# Enough for the start of a thread to count for nothing.
LOOPS = 3_000_000


def free_threaded() -> str:
    """An interpreter without the lock that has what the package needs; skips the test where there is none."""
    own = sys.executable if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    named = os.environ.get("SNAKEPIT_FREE_THREADED_PYTHON", "") or own
    found = named or next(filter(None, map(shutil.which, ("python3.14t", "python3.13t"))), "")
    if not found:
        pytest.skip(
            "no free-threaded Python is here: neither python3.14t nor python3.13t is on the path, and "
            "SNAKEPIT_FREE_THREADED_PYTHON names none"
        )
    look = "import sys, snakepit.worker._worker; print(sys._is_gil_enabled())"
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHON_GIL": "0"}
    done = subprocess.run(
        [found, "-c", look], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"{found} has not what the package needs: {done.stderr.strip().splitlines()[-1]}")
    assert done.stdout.strip() == "False"
    return found


def spun(link: Link, calls: int) -> float:
    """How long so many calls take that need a core each."""
    began = time.monotonic()
    sequences = [link.call("spin", loops=LOOPS) for _ in range(calls)]
    for sequence in sequences:
        assert link.value(sequence) == LOOPS
    return time.monotonic() - began


def test_slots_run_at_once(node: FakeNode) -> None:
    node.python = free_threaded()
    link, _ = node.start(
        SNAKEPIT_WORKER_SLOTS="2",
        SNAKEPIT_WORKER_CONCURRENCY="thread",
        PYTHON_GIL="0",
        PYTHONPATH=os.pathsep.join([str(SOURCE), str(Path(__file__).parent.parent)]),
    )
    assert not link.hello.gil
    spun(link, 1)
    alone = min(spun(link, 1) for _ in range(3))
    both = min(spun(link, 2) for _ in range(3))
    assert both < 1.6 * alone, f"one call takes {alone:.2f} s, two take {both:.2f} s"


def test_an_interpreter_with_the_lock_says_so(link: Link) -> None:
    assert link.hello.gil is _hello.has_gil()


@pytest.mark.parametrize(("made_for_it", "locked"), [(False, True), (True, False), (True, True)])
def test_a_lock_that_was_turned_on_is_told(
    monkeypatch: pytest.MonkeyPatch, made_for_it: bool, locked: bool
) -> None:
    def variable(_name: str) -> Any:
        return int(made_for_it)

    monkeypatch.setattr(sysconfig, "get_config_var", variable)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: locked, raising=False)
    why = _hello.takes_turns()
    assert bool(why) is (made_for_it and locked)
    assert not why or "PYTHON_GIL=0" in why
