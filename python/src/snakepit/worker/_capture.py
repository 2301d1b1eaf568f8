"""What a call prints: kept for its result, and written to the log line by line under the call's name."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import Final, TextIO

from snakepit._graceful import redact
from snakepit._proto.worker_v1_pb2 import Result
from snakepit._running import Stream, current

# Of each stream, in UTF-8; what came last is kept.
KEPT_BYTES_MAX: Final = 16 * 1024
# Twice as much waits for the end, so that a secret at the cut is still seen as a whole.
_HELD_CHARS: Final = 2 * KEPT_BYTES_MAX
# A line without an end goes to the log in pieces.
_LINE_CHARS_MAX: Final = 4096
# The node takes a line's level from its first word.
_LEVELS: Final[dict[Stream, str]] = {"stdout": "INFO", "stderr": "WARNING"}


class _Written:
    """One stream of one call."""

    __slots__ = ("held", "held_chars", "line", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.held: list[str] = []
        self.held_chars = 0
        self.line = ""

    def add(self, text: str) -> list[str]:
        """Take text; the lines that it completes."""
        self.held.append(text)
        self.held_chars += len(text)
        if self.held_chars > 2 * _HELD_CHARS:
            self.held = ["".join(self.held)[-_HELD_CHARS:]]
            self.held_chars = _HELD_CHARS
        *lines, self.line = (self.line + text).split("\n")
        while len(self.line) > _LINE_CHARS_MAX:
            lines.append(self.line[:_LINE_CHARS_MAX])
            self.line = self.line[_LINE_CHARS_MAX:]
        return lines

    def rest(self) -> list[str]:
        """The line that was not ended."""
        line, self.line = self.line, ""
        return [line] if line else []

    def newest(self, bytes_max: int) -> str:
        """The end of what was written, without secrets; so many bytes at most."""
        text = redact("".join(self.held)).encode(errors="backslashreplace")
        return text[max(0, len(text) - bytes_max) :].decode(errors="ignore")


class Outputs:
    """The two streams of one call, written from all threads that it runs on."""

    __slots__ = ("_lock", "_name", "_streams")

    def __init__(self, tool: str, call_id: str) -> None:
        self._lock = threading.Lock()
        self._name = f"tool.{_shown(tool)} [{_shown(call_id)}]"
        self._streams: dict[Stream, _Written] = {}

    def write(self, stream: Stream, text: str) -> None:
        """Keep and log what was printed."""
        with self._lock:
            written = self._streams.get(stream)
            if written is None:
                written = self._streams[stream] = _Written(f"{_LEVELS[stream]} {self._name}: ")
            _log(written.prefix, written.add(text))

    def fill(self, result: Result, bytes_max: int) -> None:
        """Put what was kept into a result, as far as it stays below so many bytes in all."""
        room = min(KEPT_BYTES_MAX, max(0, bytes_max - result.ByteSize()) // 2)
        with self._lock:
            for stream, written in self._streams.items():
                _log(written.prefix, written.rest())
                setattr(result, stream, written.newest(room))


class CallStream(io.TextIOBase):
    """Standard output or error: into the call that runs here, else straight to the log.

    With `passes_on`, what calls print goes below as well: to the console of a process of its own.
    """

    def __init__(self, below: TextIO, stream: Stream, *, passes_on: bool = False) -> None:
        super().__init__()
        self._below = below
        self._stream: Stream = stream
        self._passes_on = passes_on

    @property
    def below(self) -> TextIO:
        """What it stands before."""
        return self._below

    def write(self, text: str) -> int:
        """Take text, as any text stream does."""
        call = current.get()
        if call is None:
            with log_lock:
                return self._below.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        call.write(self._stream, text)
        if self._passes_on:
            with log_lock:
                self._below.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what waits below."""
        self._below.flush()

    def fileno(self) -> int:
        """The descriptor below, which nothing captures."""
        return self._below.fileno()

    def isatty(self) -> bool:
        """What the process's own console says; False for a log."""
        return self._passes_on and self._below.isatty()

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def buffer(self) -> object:
        """The bytes below, which nothing captures."""
        return self._below.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the log."""
        return self._below.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the log writes what its encoding has not."""
        return self._below.errors


# Held around each write to the log, by whomever: a text stream is not made for several threads at once.
log_lock: Final = threading.RLock()


class _Log:
    stream: TextIO | None = None


def log_to(stream: TextIO) -> None:
    """Where the lines of calls go."""
    _Log.stream = stream


def _log(prefix: str, lines: list[str]) -> None:
    if _Log.stream is None or not lines:
        return
    text = "".join(f"{prefix}{redact(line)}\n" for line in lines if line)
    # Where nobody reads the log any more, that is not the tool's fault.
    with log_lock, contextlib.suppress(OSError, ValueError):
        _Log.stream.write(text)


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() and letter != "]" else "?" for letter in name)
