"""Arguments and results of tools: as all values, and an array by itself raw, under the type `list`.

To whoever takes no raw arrays it is the lists of lists that it stands for. Arrays inside of lists and maps
are lists.
"""

from __future__ import annotations

from array import array
from typing import Any as Value
from typing import Final

from google.protobuf.any_pb2 import Any

from snakepit import _arrays, _values
from snakepit._codec import encode_raw

_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes, dict, list, tuple))


def encode(value: object) -> tuple[Any, bytes | None]:
    """An Any, and the payload beside it. Raises Invalid where something in the value has no encoding."""
    raw = None if type(value) in _PLAIN else raw_array(value)
    return _values.encode(value) if raw is None else raw


def raw_array(value: object) -> tuple[Any, bytes] | None:
    """An array of numpy, or of the standard library, in its raw form; None where it is none of numbers."""
    # A memoryview is bytes here.
    if not isinstance(value, array) and type(value).__module__ != "numpy":
        return None
    raw = _arrays.raw(value)
    return None if raw is None else encode_raw(raw, "list")


def decode(value: Any, binary: bytes | None = None, *, as_lists: bool = False) -> Value:
    """The Python value; a raw array as one of numpy, read-only, or as lists where asked or without numpy.

    Raises Invalid where the content contradicts the type.
    """
    if as_lists or not _values.is_array(value, binary):
        return _values.decode(value, binary)
    payload = binary or b""
    return _arrays.read(_values.describe_array(value.value, payload), payload)
