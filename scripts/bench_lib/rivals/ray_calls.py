"""Calls of two Ray actors with an empty method: ``python -m bench_lib.rivals.ray_calls FOLDER wait|get``.

Ray runs below this process and ends with it. One caller waits for each call with `ray.get`. Of several calls
under way, `ray.wait` finds one that is ready; with ``get``, `ray.get` waits for the oldest.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ray  # type: ignore[import-not-found]

from bench_lib.rivals import driver

ACTORS = 2


class Empty:
    """An actor that does nothing."""

    def noop(self) -> None:
        """Nothing."""


def main() -> None:
    """Start Ray and measure."""
    out = driver.answers()
    ray.init(num_cpus=ACTORS, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[1])
    try:
        actors = [ray.remote(Empty).remote() for _ in range(ACTORS)]
        ray.get([actor.noop.remote() for actor in actors])
        following = _next_ready if sys.argv[2] == "wait" else _oldest
        driver.serve(partial(_run, actors, following), out)
    finally:
        ray.shutdown()


Running = dict[Any, tuple[float, Any]]


def _next_ready(running: Running) -> Any:
    return ray.wait(list(running), num_returns=1)[0][0]


def _oldest(running: Running) -> Any:
    return next(iter(running))


def _run(actors: list[Any], following: Callable[[Running], Any], clients: int, window: driver.Window) -> None:
    turns = itertools.cycle(actors)
    if clients == 1:
        while not window.over():
            began = time.perf_counter()
            ray.get(next(turns).noop.remote())
            window.done(began)
        return
    running: Running = {}

    def call(actor: Any) -> None:
        began = time.perf_counter()
        running[actor.noop.remote()] = (began, actor)

    for _ in range(clients):
        call(next(turns))
    while running:
        ref = following(running)
        ray.get(ref)
        began, actor = running.pop(ref)
        window.done(began)
        if not window.over():
            call(actor)


if __name__ == "__main__":
    main()
