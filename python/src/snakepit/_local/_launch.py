"""One launch of a cluster: its processes, from the command to their end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from snakepit._local import _keeper, _ports
from snakepit.errors import Invalid, Unavailable

_ATTEMPTS: Final = 5
_LOG_LINES: Final = 12
_CHECK_EVERY_S: Final = 0.5
# Longer than the keeper takes for those that do not stop when asked.
_KEEPER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What to launch; see `LocalCluster`."""

    nodes: int
    adapter: str
    workers: int
    python: str
    binary: str
    dir: str
    base_port: int
    environment: Mapping[str, str]
    start_timeout_s: float
    shutdown_timeout_s: float


class Launch:
    """A cluster that runs; `end` may be called from anywhere, any number of times."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = os.getpid()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._temporary = not settings.dir
        self.dir = ""
        self.endpoints: list[str] = []
        self.pids: list[int] = []

    def begin(self, check: Callable[[list[str]], None]) -> None:
        """Start the nodes and wait until they are ready, with their workers.

        `check` is called now and then, with the endpoints. Raises what it raises, and Unavailable where they
        are not ready in time; with the last lines of their logs.
        """
        ends = time.monotonic() + self._settings.start_timeout_s
        for attempt in range(_ATTEMPTS):
            self._start()
            try:
                told = self._told(ends, check)
            except Unavailable as error:
                raise Unavailable(f"{error}\n{self.logs()}", hint=error.hint) from error
            if told is not None:
                self.endpoints = told["endpoints"].split(",")
                self.pids = [node["pid"] for node in told["nodes"]]
                return
            said = f"{self.said()}\n{self.logs()}"
            self.end()
            last = attempt + 1 == _ATTEMPTS or self._settings.base_port or self._has_cluster()
            if last or "is in use" not in said:
                raise Unavailable(f"the cluster does not start: {said}", hint="see the lines above")

    def said(self) -> str:
        """What the command said last."""
        with contextlib.suppress(OSError):
            lines = Path(self.dir, "up.log").read_text(errors="replace").splitlines()
            return "\n".join(lines[-_LOG_LINES:])
        return ""

    def logs(self) -> str:
        """The last lines of each node's log."""
        found = sorted(Path(self.dir).glob("node-*/log"))
        texts = [(path.parent.name, path.read_text(errors="replace").splitlines()) for path in found]
        return "\n".join("\n".join([f"--- {name}", *lines[-_LOG_LINES:]]) for name, lines in texts)

    def end(self) -> None:
        """Stop everything; what does not stop in time is killed."""
        keeper, self._keeper = self._keeper, None
        # A fork of this process has nothing to end.
        if keeper is None or os.getpid() != self._owner:
            return
        grace_s = self._settings.shutdown_timeout_s
        assert keeper.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            keeper.stdin.write(b"%f" % grace_s)
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(grace_s + _KEEPER_S)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        # The keeper has done it, unless it was killed.
        _keeper.kill_nodes(self.dir)
        if self._temporary:
            shutil.rmtree(self.dir, ignore_errors=True)
        self.endpoints, self.pids = [], []

    @property
    def runs(self) -> bool:
        """Whether it was begun and has not ended."""
        return self._keeper is not None and self._keeper.poll() is None

    def _start(self) -> None:
        settings = self._settings
        program = binary(settings.binary)
        # A short path: a node's Unix socket is in it.
        self.dir = settings.dir or tempfile.mkdtemp(prefix="snakepit-")
        Path(self.dir).mkdir(parents=True, exist_ok=True)
        command = [program, *self._arguments()]
        keeper = [sys.executable, "-I", "-S", _keeper.__file__, str(os.getpid()), self.dir]
        with open(Path(self.dir, "up.log"), "wb") as log:
            self._keeper = subprocess.Popen(  # noqa: S603
                [*keeper, str(int(self._temporary)), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=_environment(settings.environment),
                start_new_session=True,
            )

    def _arguments(self) -> list[str]:
        settings = self._settings
        arguments = ["-o", "json", "cluster", "up", "--dir", self.dir]
        if not self._has_cluster():
            base = settings.base_port or _ports.free_base(settings.nodes)
            arguments += ["--nodes", str(settings.nodes), "--base-port", str(base)]
        elif settings.base_port:
            arguments += ["--base-port", str(settings.base_port)]
        arguments += ["--workers", str(settings.workers if settings.adapter else 0)]
        if settings.adapter:
            arguments += ["--adapter", settings.adapter, "--python", settings.python or sys.executable]
        return [*arguments, "--wait", f"{max(1, int(settings.start_timeout_s))}s"]

    def _has_cluster(self) -> bool:
        return Path(self.dir, "cluster.json").exists()

    def _told(self, ends: float, check: Callable[[list[str]], None]) -> Any:
        """What the command says once all nodes are ready; None where it ends before, or the time is over."""
        assert self._keeper is not None  # noqa: S101
        assert self._keeper.stdout is not None  # noqa: S101
        said = b""
        with self._keeper.stdout as out:
            while time.monotonic() < ends:
                if not select.select([out], [], [], _CHECK_EVERY_S)[0]:
                    check(self._known_endpoints())
                    continue
                piece = out.read(65_536)
                if not piece:
                    return None
                said += piece
                with contextlib.suppress(ValueError):
                    return json.loads(said)
        return None

    def _known_endpoints(self) -> list[str]:
        """Where the nodes are, or will be."""
        try:
            nodes = json.loads(Path(self.dir, "cluster.json").read_text())["nodes"]
        except (OSError, ValueError):
            return []
        return [node["client"] for node in nodes]


def binary(given: str) -> str:
    """The program: what was given, what SNAKEPIT_BIN names, or the one on the path. Raises Invalid."""
    named = given or os.environ.get("SNAKEPIT_BIN", "")
    beside = str(Path(sysconfig.get_path("scripts"), "snakepit"))
    found = shutil.which(named) if named else shutil.which("snakepit") or shutil.which(beside)
    if found is None:
        raise Invalid(
            f"there is no program {named or 'snakepit'}",
            hint="give binary=, or set SNAKEPIT_BIN, or put it on PATH",
        )
    return str(Path(found).resolve())


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """That of this process, and what lets workers import what it can import."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEPIT_")}
    return {**own, "PYTHONPATH": os.pathsep.join(_import_paths()), **more}


def _import_paths() -> Sequence[str]:
    installed = [str(Path(prefix).resolve()) for prefix in (sys.prefix, sys.base_prefix)]
    paths = [str(Path(path or ".").resolve()) for path in sys.path]
    outside = [
        path for path in paths if not any(path.startswith(f"{prefix}{os.sep}") for prefix in installed)
    ]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return list(dict.fromkeys([*outside, *given]))
