"""A cluster on this machine, tied to this process."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self

from snakepit._aio_client import AsyncClient, connect_async
from snakepit._client import Client, connect
from snakepit._local._launch import Launch, Settings
from snakepit.errors import Refused, SnakepitError, Unavailable

START_TIMEOUT_S: Final = 60.0
SHUTDOWN_TIMEOUT_S: Final = 15.0
# How often a worker may fail before it is given up.
_RESTARTS_MAX: Final = 2
_CHECK_S: Final = 0.5


class LocalCluster:
    """Nodes and workers on this machine, from `start` to `stop`, or within `with`; may be started again.

    Nothing of it outlives this process, however that ends. `adapter` is what the `workers` of each node
    serve: a path, a module or a class; without one there are none. They can import what this process can.
    `dir` keeps the data, for the next start too; a temporary folder where empty. `binary` is the program
    `snakepit`, else that of SNAKEPIT_BIN or on the path. `base_port` is chosen among the free ones where 0.
    `environment` goes to the nodes and their workers.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        adapter: str | ModuleType | type = "",
        workers: int = 2,
        python: str = "",
        binary: str = "",
        dir: str | Path = "",  # noqa: A002
        base_port: int = 0,
        environment: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        shutdown_timeout_s: float = SHUTDOWN_TIMEOUT_S,
    ) -> None:
        self._settings = Settings(
            nodes=nodes,
            adapter=path_of(adapter),
            workers=workers,
            python=python,
            binary=binary,
            dir=str(Path(dir).resolve()) if dir else "",
            base_port=base_port,
            environment=environment or {},
            start_timeout_s=start_timeout_s,
            shutdown_timeout_s=shutdown_timeout_s,
        )
        self._lock = threading.Lock()
        self._launch: Launch | None = None
        self._finalizer: weakref.finalize[[], Self] | None = None

    def start(self) -> Self:
        """Start it and wait until nodes and workers are ready; nothing where it runs.

        Raises Invalid where the program is not found, and Unavailable where it is not ready in time.
        """
        with self._lock:
            if self._launch is not None and self._launch.runs:
                return self
            launch = Launch(self._settings)
            # Also at the interpreter's exit, and where this object is forgotten.
            finalizer = weakref.finalize(self, launch.end)
            try:
                launch.begin(self._check_workers)
            except BaseException:
                finalizer()
                raise
            self._launch, self._finalizer = launch, finalizer
        return self

    def stop(self) -> None:
        """Stop it: calls that run may end within `shutdown_timeout_s`. A second time does nothing."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
            self._launch = self._finalizer = None

    @property
    def endpoints(self) -> list[str]:
        """Where the nodes are. Raises Refused where it does not run."""
        return list(self._running.endpoints)

    @property
    def dir(self) -> Path:
        """Where its data and logs are."""
        return Path(self._running.dir)

    @property
    def pids(self) -> list[int]:
        """The processes of the nodes."""
        return list(self._running.pids)

    def connect(self, **options: Any) -> Client:
        """A client of all its nodes; the options are those of `snakepit.connect`."""
        return connect(self.endpoints, **options)

    def connect_async(self, **options: Any) -> AsyncClient:
        """A client for asyncio."""
        return connect_async(self.endpoints, **options)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        where = ",".join(self._launch.endpoints) if self._launch is not None else "stopped"
        return f"<{type(self).__name__} {where}>"

    @property
    def _running(self) -> Launch:
        if self._launch is None:
            raise Refused("the cluster does not run", hint="start it, or use it within `with`")
        return self._launch

    def _check_workers(self, endpoints: list[str]) -> None:
        """Raises Unavailable where workers fail to start again and again; the nodes may not be up yet."""
        if not self._settings.adapter or not endpoints:
            return
        try:
            with connect(endpoints, timeout_s=_CHECK_S) as client:
                workers = client.workers()
        except SnakepitError:
            return
        for worker in workers:
            if worker.problem and worker.restarts >= _RESTARTS_MAX:
                raise Unavailable(f"the workers do not start: {worker.problem}", hint="see the node's log")


class Node(LocalCluster):
    """A cluster of one node: see `LocalCluster`."""

    def __init__(self, *, adapter: str | ModuleType | type = "", **options: Any) -> None:
        super().__init__(1, adapter=adapter, **options)

    @property
    def endpoint(self) -> str:
        """Where it is. Raises Refused where it does not run."""
        return self.endpoints[0]


def path_of(adapter: str | ModuleType | type) -> str:
    """The path under which a worker imports an adapter."""
    if isinstance(adapter, str):
        return adapter
    module = adapter.__name__ if isinstance(adapter, ModuleType) else adapter.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        if spec is None and file is None:
            raise Refused("an adapter of an interactive session has no path", hint="put it into a module")
        module = spec.name if spec is not None else Path(str(file)).stem
    return module if isinstance(adapter, ModuleType) else f"{module}.{adapter.__qualname__}"
