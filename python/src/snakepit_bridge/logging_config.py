"""Logs on standard error, as far down as SNAKEPIT_LOG_LEVEL says."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from snakepit import _graceful

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
LEVEL_DEFAULT: Final = "error"


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _graceful.redact(super().format(record))


def configure_logging(level: str | int | None = None) -> logging.Logger:
    """Log from this level on: the environment's where none is given, `error` where that is unset too."""
    chosen = level if level is not None else os.environ.get("SNAKEPIT_LOG_LEVEL", LEVEL_DEFAULT)
    number = chosen if isinstance(chosen, int) else _LEVELS.get(chosen.lower(), logging.ERROR)
    logger = logging.getLogger("snakepit_bridge")
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(number)
    return logger


def get_logger(name: str = "") -> logging.Logger:
    """A logger of this package's; its level is that of `configure_logging`."""
    if not name or name == "snakepit_bridge":
        return logging.getLogger("snakepit_bridge")
    return logging.getLogger(name if name.startswith("snakepit_bridge.") else f"snakepit_bridge.{name}")
