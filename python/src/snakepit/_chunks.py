"""What a streaming tool yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from snakepit import _values

# Marks a chunk that is bytes and not JSON, in the chunk's metadata.
CONTENT_TYPE: Final = "content_type"
OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """One piece of a stream. A tool may also yield plain values, which are chunks that are not final."""

    data: Any
    is_final: bool = False


def encode_chunk(yielded: object) -> tuple[bytes, bool, dict[str, str]]:
    """The bytes, the mark of the last and the metadata of what a tool yielded.

    Anything with `data` and `is_final` counts as a chunk, so that Snakepit's own class does. Raises Invalid
    where the data has no encoding.
    """
    data, final = parts(yielded)
    if isinstance(data, (bytes, bytearray)):
        return bytes(data), final, {CONTENT_TYPE: OCTETS}
    return _values.encode_json(data), final, {}


def parts(yielded: Any) -> tuple[Any, bool]:
    """The data of what a tool yielded, and whether the tool marked it as the last."""
    if isinstance(yielded, StreamChunk) or (hasattr(yielded, "data") and hasattr(yielded, "is_final")):
        return yielded.data, bool(yielded.is_final)
    return yielded, False


def decode_chunk(data: bytes, metadata: dict[str, str]) -> Any:
    """The value of a chunk's bytes."""
    if metadata.get(CONTENT_TYPE) == OCTETS:
        return data
    return _values.decode_json(data) if data else None
