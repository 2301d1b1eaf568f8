"""Processes that the benchmark starts: out of reach of Ctrl-C, ended by their ids, and what they use."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.02
GOODBYE_S = 5.0


class Stat(NamedTuple):
    """A line of /proc/PID/stat; `started` tells two processes of the same number apart."""

    pid: int
    parent: int
    session: int
    ended: bool
    used_s: float
    started: int


def stat(pid: int) -> Stat | None:
    """What is known of a process; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Its own time, and that of children whose end it has seen.
    used_s = sum(map(int, fields[11:15])) / TICKS_PER_S
    # A first thread may have ended while others, which hold files and ports, have not.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return Stat(pid, int(fields[1]), int(fields[3]), ended, used_s, int(fields[19]))


def tree(roots: Iterable[int]) -> list[Stat]:
    """These processes, all below them, and those of their sessions: some may have lost their parents."""
    everything = {pid: found for pid in _pids() if (found := stat(pid))}
    below: dict[int, list[int]] = {}
    for found in everything.values():
        for above in {found.parent, found.session}:
            below.setdefault(above, []).append(found.pid)
    wanted = list(roots)
    told: dict[int, Stat | None] = {}
    while wanted:
        pid = wanted.pop()
        if pid not in told:
            told[pid] = everything.get(pid)
            wanted += below.get(pid, [])
    return [found for found in told.values() if found]


def used_s(roots: Iterable[int]) -> float:
    """Seconds of processor time that these and all below them have used."""
    return sum(found.used_s for found in tree(roots))


def is_running(pid: int) -> bool:
    """Whether it has not ended."""
    found = stat(pid)
    return found is not None and not found.ended


def end(roots: Iterable[int], patience_s: float = 10.0, family: Iterable[Stat] = ()) -> None:
    """Ask these to end, and kill what is left of them, of all below them and of their known `family`."""
    roots = list(roots)
    known = {found.pid: found for found in (*family, *tree(roots))}
    for pid in roots:
        _send(known.get(pid), signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while any(map(is_running, roots)) and time.monotonic() < deadline:
        known |= {found.pid: found for found in tree(roots)}
        time.sleep(LOOK_S)
    for found in known.values():
        _send(found, signal.SIGKILL)
    while any(_same(found) for found in known.values()) and time.monotonic() < deadline + patience_s:
        time.sleep(LOOK_S)


class Child:
    """A program that this one started, in a session of its own."""

    def __init__(
        self, line: list[Any], log: Path, *, env: Mapping[str, str] | None = None, talks: bool = False
    ) -> None:
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [str(word) for word in line],
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or file,
                stderr=file,
                bufsize=0,
                env=os.environ | (env or {}),
                start_new_session=True,
            )
        self.log = log

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """What it reads and what it writes, where it talks."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def stop(self, patience_s: float = 10.0) -> None:
        """End it and all below it; one that talks may end by itself when nothing more comes."""
        family = tree([self.pid])
        if self.process.stdin:
            with suppress(BrokenPipeError, subprocess.TimeoutExpired):
                self.process.stdin.close()
                self.process.wait(GOODBYE_S)
        # Once it has ended, its number may be another's, not that of its session as long as that has members.
        roots = [] if self.ended() else [self.pid]
        end(roots, patience_s, [found for found in family if roots or found.pid != self.pid])
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Cleaning up goes on when Ctrl-C is pressed once more."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask(line: list[Any]) -> str:
    """What a program prints; its failure ends the benchmark with what it said."""
    words = [str(word) for word in line]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(words[:3])} failed\n{done.stderr.strip()}")
    return done.stdout


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _same(found: Stat) -> bool:
    now = stat(found.pid)
    return now is not None and not now.ended and now.started == found.started


def _send(found: Stat | None, number: int) -> None:
    if found and _same(found):
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
