"""What stands beside an export: `<file>.manifest.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ._documents import Json, NotJson, has_half, parse, shown
from ._fault import Fault
from ._note import SIZE_MAX
from ._text import from_hash

FORMAT: Final = "snakepit-export/1"
FORMS: Final = ("jsonl", "cloudevents", "parquet")
FIELDS: Final = (
    "format",
    "form",
    "origin",
    "first",
    "last",
    "count",
    "previous_hash",
    "last_hash",
    "frontier",
    "root",
    "bytes",
    "sha256",
)

_ORIGIN: Final = re.compile(r"snakepit/\S+")
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of an export, which fits together."""

    form: str
    origin: str
    first: int
    last: int
    previous_hash: bytes
    last_hash: bytes
    frontier: tuple[bytes, ...]
    root: bytes
    size: int
    sha256: bytes
    checkpoint: str | None


def read(data: bytes) -> Manifest:
    """Read a manifest. Raises Fault."""
    try:
        text = data.decode()
        found, end = parse(text)
    except UnicodeDecodeError:
        raise Fault("the manifest is not UTF-8") from None
    except NotJson as error:
        raise Fault(f"the manifest cannot be read: {error}") from None
    if not isinstance(found, dict) or text[end:] not in {"", "\n"} or has_half(found):
        raise Fault("the manifest is not one JSON object")
    for name in FIELDS:
        if name not in found:
            raise Fault(f"the manifest has no {name}")
    for name in found:
        if name not in FIELDS and name != "checkpoint":
            raise Fault(f"the manifest has the unknown field {shown(name)}")
    if found["format"] != FORMAT:
        raise Fault(
            f"the manifest's format is {shown(found['format'])}, not {FORMAT}",
            "check it with a release that knows the format",
        )
    return _fitting(found)


def _fitting(found: dict[str, Json]) -> Manifest:
    form, origin, checkpoint = found["form"], found["origin"], found.get("checkpoint")
    if not isinstance(form, str) or form not in FORMS:
        raise Fault(f"the manifest's form is {shown(form)}, not one of {', '.join(FORMS)}")
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        raise Fault(f"the manifest's origin is {shown(origin)}, which is no log of Snakepit")
    if "checkpoint" in found and not isinstance(checkpoint, str):
        raise Fault("the manifest's checkpoint is no text")
    first, last = _number(found, "first"), _number(found, "last")
    if first < 1 or last < first - 1:
        raise Fault(f"the manifest's range is {first} to {last}")
    if _number(found, "count") != last - first + 1:
        raise Fault(f"the manifest counts {shown(found['count'])} events from {first} to {last}")
    frontier = found["frontier"]
    if not isinstance(frontier, list) or len(frontier) != (first - 1).bit_count():
        raise Fault(f"the manifest's frontier is not that of {first - 1} events")
    manifest = Manifest(
        form=form,
        origin=origin,
        first=first,
        last=last,
        previous_hash=_hash(found["previous_hash"], "previous_hash"),
        last_hash=_hash(found["last_hash"], "last_hash"),
        frontier=tuple(_hash(root, "frontier") for root in frontier),
        root=_hash(found["root"], "root"),
        size=_number(found, "bytes"),
        sha256=_hash(found["sha256"], "sha256"),
        checkpoint=checkpoint if isinstance(checkpoint, str) else None,
    )
    if first == 1 and any(manifest.previous_hash):
        raise Fault("the manifest's previous_hash is not zero, with nothing in front of event 1")
    return manifest


def _number(found: dict[str, Json], name: str) -> int:
    value = found[name]
    if not isinstance(value, bytes) or not _NUMBER.fullmatch(value) or int(value) > SIZE_MAX:
        raise Fault(f"the manifest's {name} is {shown(value)}, which is no whole number of 64 bits")
    return int(value)


def _hash(value: Json, name: str) -> bytes:
    data = from_hash(value)
    if data is None:
        raise Fault(f"the manifest's {name} is {shown(value)}, which is no hash of 64 hexadecimal digits")
    return data
