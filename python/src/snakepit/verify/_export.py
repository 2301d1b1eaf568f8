"""The events of an export, one after the other, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from . import _note, _table
from ._documents import shown
from ._fault import Fault
from ._key import Key
from ._line import Batch
from ._manifest import Manifest
from ._note import Checkpoint
from ._processes import read_all
from ._tree import Tree

LINE_BYTES_MAX: Final = 512 * 1024 * 1024
BATCH_LINES_MAX: Final = 256
BATCH_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checkpoint that the log has to agree with, and what it is called."""

    checkpoint: Checkpoint
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of an export that verifies."""

    manifest: Manifest
    # The checkpoints that it agrees with.
    compared: tuple[Wanted, ...]
    # Whose signatures were checked, and up to which position they reach.
    signed_by: str | None
    signed_to: int


def verify(
    file: BinaryIO,
    manifest: Manifest,
    key: Key | None = None,
    *,
    checkpoint: str | None = None,
    old_checkpoint: str | None = None,
    jobs: int = 1,
) -> Verified:
    """Check an export against its manifest, and both against checkpoints. Raises Fault, or Unusable."""
    wanted = []
    if checkpoint is not None:
        wanted.append(Wanted(_note.read(checkpoint, "the checkpoint"), "the checkpoint"))
    if manifest.checkpoint is not None:
        what = "the manifest's checkpoint"
        wanted.append(Wanted(_note.read(manifest.checkpoint, what), what))
        if (size := wanted[-1].checkpoint.size) != manifest.last:
            raise Fault(f"the manifest's checkpoint is of size {size}, the export ends at {manifest.last}")
    if key is not None and not wanted:
        raise Fault("the manifest has no checkpoint", "get one, and give it with --checkpoint")
    if old_checkpoint is not None:
        wanted.append(Wanted(_note.read(old_checkpoint, "the old checkpoint"), "the old checkpoint"))
    for each in wanted:
        _check_frame(each, manifest, key)
    _Pass(file, manifest, wanted, jobs).run()
    if key is None:
        return Verified(manifest, tuple(wanted), None, 0)
    return Verified(manifest, tuple(wanted), key.name, max(each.checkpoint.size for each in wanted))


def _check_frame(wanted: Wanted, manifest: Manifest, key: Key | None) -> None:
    """All that a checkpoint can be asked before the events are read."""
    checkpoint, what = wanted.checkpoint, wanted.what
    if key is not None:
        key.check(checkpoint, what)
    if checkpoint.origin != manifest.origin:
        raise Fault(
            f"{what} is of {_printable(checkpoint.origin)}, the export of {_printable(manifest.origin)}",
            "take the checkpoint of the cluster that was exported",
        )
    if checkpoint.size > manifest.last:
        raise Fault(
            f"{what} is of size {checkpoint.size}, the export ends at {manifest.last}",
            f"export the events up to {checkpoint.size}, or take a checkpoint of {manifest.last}",
        )
    if checkpoint.size == manifest.last and checkpoint.root != manifest.root:
        raise Fault(f"the root of {what} is {checkpoint.root.hex()}, the manifest's is {manifest.root.hex()}")


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)


class _Pass:
    """One way through the file."""

    def __init__(self, file: BinaryIO, manifest: Manifest, wanted: Sequence[Wanted], jobs: int) -> None:
        self._file = file
        self._manifest = manifest
        self._jobs = jobs
        self._tree = Tree(manifest.first - 1, manifest.frontier)
        self._hash = manifest.previous_hash
        # What is still to be compared, by size.
        self._wanted: dict[int, list[Wanted]] = {}
        for each in wanted:
            self._wanted.setdefault(each.checkpoint.size, []).append(each)

    def run(self) -> None:
        """Raises Fault at the first thing that is wrong."""
        self._compare_in_front()
        size, contents = self._rows() if self._manifest.form == "parquet" else self._lines()
        manifest = self._manifest
        if self._hash != manifest.last_hash:
            raise Fault(f"the last hash is {self._hash.hex()}, the manifest says {manifest.last_hash.hex()}")
        if (root := self._tree.root()) != manifest.root:
            raise Fault(f"the root is {root.hex()}, the manifest says {manifest.root.hex()}")
        if size != manifest.size:
            raise Fault(f"the file has {size} bytes, the manifest says {manifest.size}")
        if contents != manifest.sha256:
            raise Fault(f"the file's sha256 is {contents.hex()}, the manifest says {manifest.sha256.hex()}")

    def _compare_in_front(self) -> None:
        first = self._manifest.first
        for size, root in self._tree.earlier():
            for each in self._wanted.pop(size, ()):
                _compare(each, root)
        for size, (each, *_) in self._wanted.items():
            if size < first:
                raise Fault(
                    f"{each.what} is of size {size}, the export begins at {first}",
                    f"export the events from {size + 1}, or earlier ones too",
                )

    def _lines(self) -> tuple[int, bytes]:
        """Check each event; returns the size of the file and its SHA-256."""
        manifest = self._manifest
        contents, size = sha256(), 0

        def batches() -> Iterator[list[bytes]]:
            nonlocal size
            left = manifest.last - manifest.first + 1
            while left:
                lines = _some_lines(self._file, left)
                for line in lines:
                    contents.update(line)
                    size += len(line)
                left -= len(lines)
                yield lines

        source = "/" + manifest.origin if manifest.form == "cloudevents" else None
        position = manifest.first
        with closing(read_all(batches(), position, source, self._jobs)) as checked:
            for batch in checked:
                position = self._take_all(position, batch)
        if self._file.read(1):
            raise self._goes_on()
        return size, contents.digest()

    def _rows(self) -> tuple[int, bytes]:
        """The same of a table, in this process alone."""
        manifest = self._manifest
        contents, size = sha256(), 0
        while data := self._file.read(BATCH_BYTES_MAX):
            contents.update(data)
            size += len(data)
        self._file.seek(0)
        position = manifest.first
        for rows in _table.read(self._file).batches():
            if position + len(rows) - 1 > manifest.last:
                raise self._goes_on()
            position = self._take_all(position, _table.check(rows, position))
        if position <= manifest.last:
            raise Fault("the file ends in front of it", position=position)
        return size, contents.digest()

    def _goes_on(self) -> Fault:
        return Fault(f"the file goes on behind event {self._manifest.last}, the last one of the manifest")

    def _take_all(self, position: int, batch: Batch) -> int:
        """Events from a position on; returns the position behind them."""
        for data, shown_hash in batch.events:
            self._take(position, data, shown_hash)
            position += 1
        if batch.trouble is not None:
            raise Fault(batch.trouble, position=position)
        return position

    def _take(self, position: int, data: bytes, shown_hash: str) -> None:
        self._hash = sha256(self._hash + data).digest()
        if shown_hash != self._hash.hex():
            text = f"its hash is {shown(shown_hash)}, that of the chain is {self._hash.hex()}"
            raise Fault(text, position=position)
        self._tree.append(data)
        if position in self._wanted:
            for each in self._wanted.pop(position):
                _compare(each, self._tree.root())


def _some_lines(file: BinaryIO, count: int) -> list[bytes]:
    """So many lines at most, and at least one, which is empty where the file has ended."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < min(count, BATCH_LINES_MAX) and size < BATCH_BYTES_MAX:
        line = file.readline(LINE_BYTES_MAX)
        lines.append(line)
        size += len(line)
        if not line:
            break
    return lines


def _compare(wanted: Wanted, root: bytes) -> None:
    checkpoint = wanted.checkpoint
    if root != checkpoint.root:
        raise Fault(
            f"the root at size {checkpoint.size} is {root.hex()}, {wanted.what} says {checkpoint.root.hex()}",
            "this is not the log that was signed: keep both, and compare with others who have checkpoints",
        )
