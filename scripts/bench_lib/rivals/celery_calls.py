"""Calls of an empty Celery task: ``BENCH_REDIS=redis://… python -m bench_lib.rivals.celery_calls``.

Workers and Redis run beside it. One caller waits for each call with `get`. Of several calls under way, each
is followed by another as soon as its result has come, all in one thread.
"""

from __future__ import annotations

import time
from typing import Any

from bench_lib.rivals import driver
from bench_lib.rivals.celery_app import app, noop

START_S = 60
ANSWER_S = 30


def main() -> None:
    """Wait for a worker and measure."""
    out = driver.answers()
    noop.delay().get(timeout=START_S)
    driver.serve(_run, out)


def _run(clients: int, window: driver.Window) -> None:
    if clients == 1:
        while not window.over():
            began = time.perf_counter()
            noop.delay().get(timeout=ANSWER_S)
            window.done(began)
        return
    # Results that wait are kept alive here: Celery's promises hold them weakly.
    running: dict[str, Any] = {}

    def call() -> None:
        began = time.perf_counter()
        result = noop.delay()
        running[result.id] = result
        result.then(lambda result: ended(result, began))

    def ended(result: Any, began: float) -> None:
        result.get(timeout=0)
        running.pop(result.id)
        window.done(began)

    while True:
        while len(running) < clients and not window.over():
            call()
        if not running:
            return
        app.backend.result_consumer.drain_events(timeout=1)


if __name__ == "__main__":
    main()
