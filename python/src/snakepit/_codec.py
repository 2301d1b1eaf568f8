"""How the values of variables and programs are written and read: as all values, and arrays raw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any as Value
from typing import Final

from google.protobuf.any_pb2 import Any

from snakepit import _arrays, _pickles, _values

_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes, dict))
# Where one of these is wanted, or nothing is said, an array stays one; a `list` takes its elements.
_ARRAYS: Final = frozenset(("", "tensor", "embedding"))
_SUFFIX: Final = ".binary"


@dataclass(frozen=True, slots=True)
class Codec:
    """The two directions. `allow_pickle`: read the payloads of old clients, as far as they are numbers."""

    allow_pickle: bool = False

    def encode(self, value: object, type_name: str = "") -> tuple[Any, bytes | None]:
        """An Any, and the payload beside it. An array becomes a tensor, or an embedding where that is asked.

        Raises Invalid where the value, or something in it, has no encoding.
        """
        if type(value) in _PLAIN or type_name not in _ARRAYS:
            return _values.encode(value)
        if type_name == "tensor" and isinstance(value, (list, tuple)):
            return _values.encode({"shape": _arrays.shape_of(value), "data": value}, "tensor")
        raw = _arrays.raw(value)
        if raw is None:
            return _values.encode(value)
        return encode_raw(raw, "embedding" if type_name == "embedding" else "tensor")

    def decode(self, value: Any, binary: bytes | None = None) -> Value:
        """The Python value. Raises Invalid where the content contradicts the type."""
        if not _values.is_array(value, binary):
            return _values.decode(value, binary)
        if self.allow_pickle:
            about = _values.binary_format(value.value)
            if about.get("binary_format") == "pickle":
                return _pickles.read(about, binary or b"")
        payload = binary or b""
        return _arrays.read(_values.describe_array(value.value, payload), payload)


def encode_raw(raw: _arrays.Raw, kind: str) -> tuple[Any, bytes]:
    """A raw array of that type, and its payload."""
    about = {"type": kind, "dtype": raw.dtype, "shape": raw.shape, "binary_format": "raw"}
    return Any(type_url=_values.URL_PREFIX + kind + _SUFFIX, value=json.dumps(about).encode()), raw.data


def type_name(encoded: Any) -> str:
    """The type that an encoded value has by itself."""
    return encoded.type_url.removeprefix(_values.URL_PREFIX).removesuffix(_SUFFIX)
