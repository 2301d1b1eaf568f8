"""Lines of an export, each by itself: what it shows against what its bytes say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from . import _wire
from ._change import number, readable
from ._documents import Json, NotJson, difference, parse
from ._fault import Fault
from ._schema import EVENT
from ._text import from_base64


class Batch(NamedTuple):
    """Stored bytes and shown hash of each line until one that is wrong, and why that one is."""

    events: list[tuple[bytes, str]]
    trouble: str | None


def read(lines: Sequence[bytes], first: int, source: str | None) -> Batch:
    """Check lines from a position on; they are CloudEvents where those have a source."""
    events = []
    for position, line in enumerate(lines, first):
        try:
            events.append(_read(line, position, source))
        except (Fault, NotJson, _wire.Damaged) as error:
            return Batch(events, str(error))
    return Batch(events, None)


def _read(line: bytes, position: int, source: str | None) -> tuple[bytes, str]:
    found = _object(line)
    hash_name, bytes_name = ("hash", "bytes") if source is None else ("snakepithash", "snakepitbytes")
    encoded, shown_hash = found.get(bytes_name), found.get(hash_name)
    data = from_base64(encoded) if isinstance(encoded, str) else None
    if data is None:
        raise Fault(f"{bytes_name} is missing or not in base64")
    if not isinstance(shown_hash, str):
        raise Fault(f"{hash_name} is missing or no text")
    want = readable(_wire.decode(EVENT, data))
    if want["position"] != number(position):
        raise Fault(f"the bytes are of position {cast(bytes, want['position']).decode()}")
    if source is not None:
        want = _cloud_event(want, source)
    want[hash_name], want[bytes_name] = shown_hash, encoded
    if want != found:
        raise Fault(difference(want, found))
    return data, shown_hash


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


def _cloud_event(want: dict[str, object], source: str) -> dict[str, object]:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": cast(bytes, want["position"]).decode(),
        "source": source,
        "type": f"snakepit.{want['event']}",
        "datacontenttype": "application/json",
        "data": want,
    }
    if want["time"]:
        event["time"] = want["time"]
    if want["session"]:
        event["subject"] = want["session"]
    return event
