"""The events of an export, one after the other, in constant memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final, cast

from . import _note, _wire
from ._change import number, readable
from ._documents import Json, NotJson, difference, parse
from ._fault import Fault
from ._key import Key
from ._manifest import Manifest
from ._note import Checkpoint
from ._schema import EVENT
from ._text import from_base64
from ._tree import Tree

LINE_BYTES_MAX: Final = 512 * 1024 * 1024
SPEC_VERSION: Final = "1.0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checkpoint that the log has to agree with, and what it is called."""

    checkpoint: Checkpoint
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of an export that verifies."""

    manifest: Manifest
    # The checkpoints that were compared, with those that are signed first.
    compared: tuple[Wanted, ...]
    # Up to which position a signature reaches; 0 where none was checked.
    signed_to: int


def verify(
    file: BinaryIO,
    manifest: Manifest,
    key: Key | None = None,
    checkpoint: str | None = None,
    old_checkpoint: str | None = None,
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
        raise Fault("nothing is signed: the manifest has no checkpoint", "get one, and give it with --checkpoint")
    if old_checkpoint is not None:
        wanted.append(Wanted(_note.read(old_checkpoint, "the old checkpoint"), "the old checkpoint"))
    for each in wanted:
        _check_frame(each, manifest, key)
    _Pass(file, manifest, wanted).run()
    signed_to = max(each.checkpoint.size for each in wanted) if key is not None else 0
    return Verified(manifest, tuple(wanted), signed_to)


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

    def __init__(self, file: BinaryIO, manifest: Manifest, wanted: Sequence[Wanted]) -> None:
        self._file = file
        self._manifest = manifest
        self._tree = Tree(manifest.first - 1, manifest.frontier)
        self._hash = manifest.previous_hash
        # What is still to be compared, by size.
        self._wanted: dict[int, list[Wanted]] = {}
        for each in wanted:
            self._wanted.setdefault(each.checkpoint.size, []).append(each)

    def run(self) -> None:
        """Raises Fault at the first thing that is wrong."""
        self._compare_in_front()
        size, contents = self._lines()
        manifest = self._manifest
        if self._hash != manifest.last_hash:
            raise Fault(f"the chain ends with {self._hash.hex()}, the manifest says {manifest.last_hash.hex()}")
        if (root := self._tree.root()) != manifest.root:
            raise Fault(f"the root is {root.hex()}, the manifest says {manifest.root.hex()}")
        if size != manifest.bytes:
            raise Fault(f"the file has {size} bytes, the manifest says {manifest.bytes}")
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
        file, tree, wanted = self._file, self._tree, self._wanted
        is_cloud = self._manifest.form == "cloudevents"
        source = "/" + self._manifest.origin
        contents, size = sha256(), 0
        for position in range(self._manifest.first, self._manifest.last + 1):
            line = file.readline(LINE_BYTES_MAX)
            size += len(line)
            contents.update(line)
            try:
                found = _object(line)
                data = _bytes(found, "snakepitbytes" if is_cloud else "bytes")
                want = readable(_wire.decode(EVENT, data))
            except (Fault, NotJson, _wire.Damaged) as error:
                raise Fault(str(error), position=position) from None
            self._hash = sha256(self._hash + data).digest()
            tree.append(data)
            if want["position"] != number(position):
                has = cast(bytes, want["position"]).decode()
                raise Fault(f"the bytes are of position {has}, not {position}", position=position)
            if is_cloud:
                want = _cloud_event(want, source)
                want["snakepithash"], want["snakepitbytes"] = self._hash.hex(), found["snakepitbytes"]
            else:
                want["hash"], want["bytes"] = self._hash.hex(), found["bytes"]
            if not want == found:
                raise Fault(difference(want, found), position=position)
            if position in wanted:
                for each in wanted.pop(position):
                    _compare(each, tree.root())
        if file.read(1):
            raise Fault(f"the file goes on behind event {self._manifest.last}, the last one of the manifest")
        return size, contents.digest()


def _compare(wanted: Wanted, root: bytes) -> None:
    checkpoint = wanted.checkpoint
    if root != checkpoint.root:
        raise Fault(
            f"the root at size {checkpoint.size} is {root.hex()}, {wanted.what} says {checkpoint.root.hex()}",
            "this is not the log that was signed: keep both, and compare with others who have checkpoints",
        )


def _object(line: bytes) -> dict[str, Json]:
    if not line:
        raise Fault("the file ends in front of it")
    if not line.endswith(b"\n"):
        raise Fault("its line does not end")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Fault("its line is not UTF-8") from None
    found, end = parse(text)
    if not isinstance(found, dict) or end != len(text) - 1:
        raise Fault("its line is not one JSON object")
    return found


def _bytes(found: dict[str, Json], name: str) -> bytes:
    text = found.get(name)
    data = from_base64(text) if isinstance(text, str) else None
    if data is None:
        raise Fault(f"{name} is missing or no base64")
    return data


def _cloud_event(want: dict[str, object], source: str) -> dict[str, object]:
    event: dict[str, object] = {
        "specversion": SPEC_VERSION,
        "id": cast(bytes, want["position"]).decode(),
        "source": source,
        "type": f"snakepit.{want['event']}",
        "time": want["time"],
        "datacontenttype": "application/json",
        "data": want,
    }
    if want["session"]:
        event["subject"] = want["session"]
    return event
