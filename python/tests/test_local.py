"""Clusters for scripts and notebooks: nothing of them outlives who started them. Needs SNAKEPIT_BIN."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import snakepit
from snakepit import LocalCluster, errors
from snakepit._local._cluster import path_of
from snakepit._local._launch import binary
from tests import local_script
from tests.bridge_cluster import BIN
from tests.fake_node import is_alive

needs_nodes = pytest.mark.skipif(not BIN, reason="SNAKEPIT_BIN does not name the snakepit program")
GONE_S = 5.0


def left_of(pids: list[int], seconds: float) -> list[int]:
    """The processes that still run after that time."""
    ends = time.monotonic() + seconds
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < ends:
        time.sleep(0.05)
    return left


class Script:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(local_script.__file__)), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return line.strip()

    def held(self) -> tuple[list[int], Path]:
        *pids, folder = self.line().split()
        found = [int(pid) for pid in pids]
        return [*found, *_keepers(self.process.pid)], Path(folder)


@pytest.fixture
def scripts() -> Iterator[list[Script]]:
    started: list[Script] = []
    yield started
    for script in started:
        script.process.kill()
        script.process.communicate()


@needs_nodes
def test_a_cluster_for_a_while() -> None:
    cluster = LocalCluster(adapter="tests.local_script.Tools", workers=2)
    for _ in range(2):
        with cluster, cluster.connect() as client:
            pids = [*cluster.pids, *(worker.pid for worker in client.workers())]
            assert len(pids) == 3
            assert client.call("whose").value in pids
            folder = cluster.dir
            assert cluster.start() is cluster
        assert left_of([*pids, *_keepers(os.getpid())], GONE_S) == []
        assert not folder.exists()
        with pytest.raises(errors.Refused, match="does not run"):
            _ = cluster.endpoints
    cluster.stop()


@needs_nodes
def test_data_that_stays(tmp_path: Path) -> None:
    with snakepit.Node(dir=tmp_path) as node, node.connect() as client:
        client.create_session("kept")["x"] = 1
        assert client.workers() == []
        port = node.endpoint
    with snakepit.Node(dir=tmp_path) as node, node.connect() as client:
        assert (client.session("kept")["x"], node.endpoint) == (1, port)


@needs_nodes
def test_it_is_stopped_when_it_is_forgotten() -> None:
    cluster = LocalCluster().start()
    pids = [*cluster.pids, *_keepers(os.getpid())]
    del cluster
    gc.collect()
    assert left_of(pids, GONE_S) == []


@needs_nodes
def test_what_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken_adapter.py").write_text("raise RuntimeError('no model')\n")
    cluster = LocalCluster(adapter="broken_adapter", workers=1, environment={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(errors.Unavailable, match="no model"):
        cluster.start()
    assert _keepers(os.getpid()) == []
    with pytest.raises(errors.Unavailable, match="does not start"):
        LocalCluster(adapter="x", python="/nothing/python").start()
    with pytest.raises(errors.Invalid, match="there is no program /nothing"):
        LocalCluster(binary="/nothing").start()


@needs_nodes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_script_that_is_killed(scripts: list[Script], number: signal.Signals) -> None:
    script = Script("hold")
    scripts.append(script)
    pids, folder = script.held()
    assert len(pids) == 4
    assert left_of(pids, 0) == pids
    script.process.send_signal(number)
    # SIGINT is an exception, so the script stops the cluster itself.
    assert script.process.wait(20) in (-number, 128 + number)
    assert left_of(pids, GONE_S) == []
    assert not folder.exists()


@needs_nodes
@pytest.mark.parametrize(("how", "code"), [("raise-holding", 1), ("leave", 0)])
def test_a_script_that_ends_without_stopping(scripts: list[Script], how: str, code: int) -> None:
    script = Script(how)
    scripts.append(script)
    pids, folder = script.held()
    assert script.process.wait(30) == code
    assert left_of(pids, GONE_S) == []
    assert not folder.exists()


@needs_nodes
def test_a_fork_of_the_script_does_not_keep_it(scripts: list[Script]) -> None:
    script = Script("fork")
    scripts.append(script)
    pids, _ = script.held()
    child = int(script.line().split()[1])
    script.process.kill()
    assert left_of(pids, GONE_S) == []
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


@needs_nodes
@pytest.mark.parametrize(
    ("how", "mode", "code", "last"),
    [
        ("return", "auto", 0, "done"),
        ("return", "exit", 0, ""),
        ("raise", "auto", 1, ""),
        ("raise", "exit", 1, ""),
        ("exit", "none", 7, ""),
        ("exit", "exit", 7, ""),
    ],
)
def test_run_as_script(scripts: list[Script], how: str, mode: str, code: int, last: str) -> None:
    script = Script(how, mode)
    scripts.append(script)
    worker = int(script.line())
    out, err = script.process.communicate(timeout=60)
    assert script.process.returncode == code
    assert out.strip() == last
    assert ("RuntimeError: as asked" in err) == (how == "raise")
    assert left_of([worker], GONE_S) == []


@needs_nodes
def test_run_as_script_is_terminated_in_order(scripts: list[Script]) -> None:
    script = Script("sleep", "exit")
    scripts.append(script)
    worker = int(script.line())
    keepers = _keepers(script.process.pid)
    script.process.terminate()
    assert script.process.wait(30) == 128 + signal.SIGTERM
    assert left_of([worker, *keepers], 0.5) == []


@needs_nodes
def test_run_as_script_in_a_loop_of_its_own() -> None:
    async def main(client: snakepit.AsyncClient) -> int:
        await client.create_session("s")
        await asyncio.sleep(0)
        return 5

    assert snakepit.run_as_script(main, exit_mode="none") == 5
    with pytest.raises(errors.Invalid, match="exit_mode"):
        snakepit.run_as_script(main, exit_mode="halt")  # type: ignore[arg-type]


def test_paths_of_adapters() -> None:
    assert path_of(local_script.Tools) == "tests.local_script.Tools"
    assert path_of(local_script) == "tests.local_script"
    assert path_of("a.b") == "a.b"


def test_the_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAKEPIT_BIN", raising=False)
    program = tmp_path / "snakepit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binary("") == str(program)
    monkeypatch.setenv("SNAKEPIT_BIN", "/nothing")
    with pytest.raises(errors.Invalid, match="/nothing"):
        binary("")
    assert binary(str(program)) == str(program)


def _keepers(parent: int) -> list[int]:
    """The processes that keep clusters for a script, and the commands below them."""
    while True:
        children = Path(f"/proc/{parent}/task").glob("*/children")
        try:
            found = [int(pid) for path in children for pid in path.read_text().split()]
            break
        except (FileNotFoundError, ProcessLookupError):
            # A thread has ended since they were listed; its children are another's now.
            continue
    return [pid for pid in found if b"_keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
