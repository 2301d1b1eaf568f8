"""The process between a script and its cluster: it outlives the script by as long as it takes to stop all.

Run as a file, with nothing of the package imported. Arguments: the pid of the script, the cluster's folder,
whether to remove that in the end (1 or 0), and the command that launches the cluster in the foreground.
Standard input is a pipe that only the script holds: a line with a number of seconds asks for the end within
that time; its end, or that of the script, asks for the end at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

LOOK_S = 0.2
# How long nodes have to end by themselves when there is no script any more.
ORPHAN_GRACE_S = 1.5
# What `cluster up` takes to kill them, once it was asked a second time.
_HURRY_S = 1.0
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Keep until asked, or until the cluster has ended by itself; the command's exit code."""
    script, folder, remove = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
    asked = [False]
    signal.signal(signal.SIGTERM, lambda *_: asked.__setitem__(0, True))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # There is one thread here.
    child = subprocess.Popen(sys.argv[4:], stdin=subprocess.DEVNULL, preexec_fn=_tied)  # noqa: PLW1509, S603
    # The script reads what the command says; that it has ended is seen by the end of this.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        grace_s = _wait(child, script, asked)
        _stop(child, grace_s)
    finally:
        kill_nodes(folder)
        if remove:
            shutil.rmtree(folder, ignore_errors=True)
    return child.returncode if child.returncode >= 0 else 1


def _tied() -> None:
    """Have the cluster told to stop where this process is killed."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _wait(child: subprocess.Popen[bytes], script: int, asked: list[bool]) -> float:
    """How many seconds the nodes have to end."""
    while child.poll() is None and not asked[0]:
        # A fork of the script may hold the pipe open.
        if os.getppid() != script:
            break
        if not select.select([0], [], [], LOOK_S)[0]:
            continue
        said = os.read(0, 64).decode()
        with contextlib.suppress(ValueError):
            return float(said)
        break
    return ORPHAN_GRACE_S


def _stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGTERM, _HURRY_S), (signal.SIGKILL, 5.0)):
        if child.poll() is None:
            child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
            return


def kill_nodes(folder: str) -> None:
    """Kill the nodes of a cluster that its command has left behind, and wait for their end."""
    left = [process for process in _processes(folder) if _began(process[0]) == process[1]]
    for pid, _ in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 5.0
    while time.monotonic() < ends and any(_began(pid) == began for pid, began in left):
        time.sleep(0.02)


def _processes(folder: str) -> list[tuple[int, int]]:
    """The pids of the nodes, and when they began."""
    try:
        with open(os.path.join(folder, "cluster.json"), encoding="utf-8") as file:
            nodes = json.load(file)["nodes"]
        found = [node["process"] for node in nodes if node.get("process")]
        return [(process["pid"], process["start_ticks"]) for process in found]
    except (OSError, ValueError, KeyError):
        return []


def _began(pid: int) -> int | None:
    """When a process began, in ticks since the boot; None where it has ended, all its threads included."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if ended else int(fields[19])


if __name__ == "__main__":
    sys.exit(main())
