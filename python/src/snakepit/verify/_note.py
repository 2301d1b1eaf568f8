"""Checkpoints: signed notes that say which root a log had at a size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ._fault import Fault
from ._text import from_base64

DASH: Final = "— "
SIZE_MAX: Final = (1 << 64) - 1

_ORIGIN: Final = re.compile(r"snakepit/\S+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

_HINT: Final = "a checkpoint is three lines, an empty one and signatures; get it again"


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below the text."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says, the text that is signed, and who signed it."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[Signature, ...]


def read(note: str, what: str) -> Checkpoint:
    """Read a note. Raises Fault, which calls it `what`."""
    if _CONTROL.search(note):
        raise Fault(f"{what} has control characters", _HINT)
    text, mark, below = note.rpartition("\n\n")
    if not mark or not below.endswith("\n"):
        raise Fault(f"{what} is no signed note", _HINT)
    lines = text.split("\n")
    if len(lines) != 3:
        raise Fault(f"{what} has {len(lines)} lines of text, not 3", _HINT)
    origin, size, root_text = lines
    if not _ORIGIN.fullmatch(origin):
        raise Fault(f"{what} is of no log of Snakepit", _HINT)
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise Fault(f"{what} has no size in decimal", _HINT)
    root = from_base64(root_text)
    if root is None or len(root) != 32:
        raise Fault(f"{what} has no root of 32 bytes in base64", _HINT)
    signatures = tuple(_signature(line, what) for line in below[:-1].split("\n"))
    return Checkpoint(origin, int(size), root, f"{text}\n".encode(), signatures)


def _signature(line: str, what: str) -> Signature:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    data = from_base64(encoded)
    if not line.startswith(DASH) or not is_name(name) or data is None or len(data) < 5:
        raise Fault(f"{what} has a line that is no signature", _HINT)
    return Signature(name, data[:4], data[4:])


def is_name(name: str) -> bool:
    """Whether a key may be called that."""
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)
