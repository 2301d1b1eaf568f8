"""Results on the wire: values, and exceptions as outcomes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Final

from google.protobuf.any_pb2 import Any

from snakepit import _values
from snakepit._graceful import redact
from snakepit._proto.snakepit_bridge_pb2 import ToolError
from snakepit._proto.worker_v1_pb2 import Result
from snakepit.worker import _hints

TEXT_CHARS_MAX: Final = 16 * 1024
# Room for the frame around a result that fills its message.
FRAME_BYTES: Final = 1024


def of_value(
    sequence: int,
    value: object,
    began_ns: int,
    bytes_max: int,
    encode: Callable[[object], tuple[Any, bytes | None]] = _values.encode,
) -> Result:
    """A tool's answer. Raises Invalid where it has no wire form; too large an answer is an error result."""
    encoded, payload = encode(value)
    result = Result(
        sequence=sequence,
        success=True,
        value=encoded,
        binary_value=payload or b"",
        execution_time_us=(time.perf_counter_ns() - began_ns) // 1000,
    )
    size = len(encoded.value) + len(payload or b"")
    if size > bytes_max - FRAME_BYTES:
        return of_failure(sequence, "Exhausted", too_large("the result", size, bytes_max), began_ns)
    return result


def of_exception(sequence: int, error: BaseException, began_ns: int) -> Result:
    """A tool's exception: its class, its text, and its traceback without the runtime's own frames."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    shown = traceback.format_exception(type(error), error, frames)
    text = _text(error)
    return of_failure(
        sequence, type(error).__qualname__, text, began_ns, "".join(shown), hint=_hints.of(error, text)
    )


def of_failure(
    sequence: int,
    kind: str,
    message: str,
    began_ns: int = 0,
    trace: str = "",
    *,
    hint: _hints.Hint = _hints.NOTHING,
) -> Result:
    """An error result; texts are cut at TEXT_CHARS_MAX, a traceback at its beginning.

    Secrets are taken out of them: bearer tokens, keys, and values that are called token, secret, password.
    """
    return Result(
        sequence=sequence,
        error=ToolError(
            type=_clean(kind),
            message=_clean(redact(message[: 2 * TEXT_CHARS_MAX])[:TEXT_CHARS_MAX]),
            traceback=_clean(redact(trace[-2 * TEXT_CHARS_MAX :])[-TEXT_CHARS_MAX:]),
            kind=hint.kind,
            hint=_clean(redact(hint.hint[:TEXT_CHARS_MAX])),
            details=hint.details,
        ),
        execution_time_us=(time.perf_counter_ns() - began_ns) // 1000 if began_ns else 0,
    )


def too_large(what: str, size: int, limit: int) -> str:
    """The message for what does not fit."""
    return f"{what} has {size} bytes; a message holds {limit} at most; return less, or stream it in chunks"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"(the exception's text could not be made: {type(second).__name__})"


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _is_ours(filename: str) -> bool:
    return filename.startswith(_RUNTIME)


_RUNTIME: Final = __file__.removesuffix("_outcome.py")
