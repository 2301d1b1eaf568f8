"""Standard error is the worker's log, one line a record; standard output goes there too."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final

from snakepit.worker import _capture

logger: Final = logging.getLogger("snakepit.worker")


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


def set_up(level: str) -> None:
    """Point standard output, also that of foreign code, to standard error, log there, and capture calls."""
    os.dup2(2, 1)
    log = sys.stderr
    handler = logging.StreamHandler(log)
    handler.lock = _capture.log_lock
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio tells of its selector at debug, for every start.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    _capture.log_to(log)
    streams: Any = sys
    streams.stdout = _capture.CallStream(log, "stdout")
    streams.stderr = _capture.CallStream(log, "stderr")
