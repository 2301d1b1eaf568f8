"""The Celery application that workers and driver share; BENCH_REDIS is where broker and results are."""

from __future__ import annotations

import os

from celery import Celery  # type: ignore[import-not-found]

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    worker_prefetch_multiplier=1,
    task_ignore_result=False,
    result_expires=600,
    broker_connection_retry_on_startup=True,
)


def _noop() -> None:
    """Nothing."""


noop = app.task(_noop, name="noop")
