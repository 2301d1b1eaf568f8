"""Values of a variable's type on the wire, both directions; large arrays raw."""

from __future__ import annotations

import json
import sys
from array import array
from typing import Any as Value
from typing import Final

from google.protobuf.any_pb2 import Any

from snakepit import _values
from snakepit.errors import Invalid
from snakepit_bridge import _pickles

# An array of more bytes, eight for each element, goes raw.
BINARY_THRESHOLD: Final = 10_240
_ELEMENT_BYTES: Final = 8
_SUFFIX: Final = ".binary"
_DTYPES: Final = frozenset(
    [
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    ]
)


def encode(value: object, type_name: str = "") -> tuple[Any, bytes | None]:
    """An Any of the type, or of the value's own where none is given, and the payload beside it.

    Raises Invalid where the value has no such form.
    """
    numpy_array = is_numpy_array(value)
    if type_name == "embedding" or (isinstance(value, array) and not type_name):
        return _encode_array("embedding", value, [len(_sequence(value))])
    if type_name == "tensor" or (numpy_array and not type_name):
        if numpy_array:
            return _encode_array("tensor", value, list(value.shape))  # type: ignore[attr-defined]
        shape, data = tensor_parts(value)
        return _encode_array("tensor", data, shape)
    return _values.encode(value, type_name)


def encode_inline(value: object) -> Any:
    """An Any for a message that has no field for payloads."""
    encoded, payload = _values.encode(value)
    if payload is not None:
        encoded.value = payload
    return encoded


def decode(value: Any, payload: bytes | None = None) -> Value:
    """The Python value; arrays are lists, tensors maps of `shape` and `data`.

    Raises Invalid where it cannot be read, or is a pickle and those are not allowed.
    """
    if payload and b'"pickle"' in value.value:
        about = _description(value.value)
        if about.get("binary_format") == "pickle":
            data = _pickles.loads(payload)
            return {"shape": about.get("shape"), "data": data} if about.get("type") == "tensor" else data
    if value.type_url.endswith(_SUFFIX) and not payload and not value.value:
        raise Invalid("a binary value came without its description")
    return _values.decode(value, payload or None)


def is_numpy_array(value: object) -> bool:
    """Whether it is an array of numpy; numpy is not imported for that."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def shape_of(nested: object) -> list[int]:
    """The shape of nested lists. Raises Invalid where they are ragged."""
    if not isinstance(nested, (list, tuple)):
        return []
    shapes = [shape_of(item) for item in nested]
    if any(shape != shapes[0] for shape in shapes):
        raise Invalid("data size doesn't match shape: the nested lists are not of one length")
    return [len(nested), *(shapes[0] if shapes else [])]


def tensor_parts(value: object) -> tuple[list[int], list[Value]]:
    """Shape and flat elements of a tensor: a map with `shape` and `data`, or nested lists."""
    if isinstance(value, dict):
        if "shape" not in value or "data" not in value:
            raise Invalid("must be a tensor with shape and data")
        data = value["data"]
        flat = _flat(data.tolist() if is_numpy_array(data) else data)
        return [int(n) for n in value["shape"]], flat
    if isinstance(value, (list, tuple)):
        return shape_of(value), _flat(value)
    raise Invalid("must be a tensor with shape and data")


def _flat(nested: object) -> list[Value]:
    if not isinstance(nested, (list, tuple)):
        return [nested]
    if not any(isinstance(item, (list, tuple)) for item in nested):
        return list(nested)
    return [leaf for item in nested for leaf in _flat(item)]


def _encode_array(kind: str, value: Value, shape: list[int]) -> tuple[Any, bytes | None]:
    raw = _numpy_raw(value)
    if raw is None:
        elements = _sequence(value)
        if len(elements) * _ELEMENT_BYTES > BINARY_THRESHOLD:
            raw = _list_raw(elements, floats=kind == "embedding")
        if raw is None:
            content = elements if kind == "embedding" else {"shape": shape, "data": elements}
            return _json(kind, content), None
    dtype, payload = raw
    about = {"type": kind, "dtype": dtype, "shape": shape, "binary_format": "raw"}
    return Any(type_url=f"{_values.URL_PREFIX}{kind}{_SUFFIX}", value=json.dumps(about).encode()), payload


def _json(kind: str, content: object) -> Any:
    return Any(type_url=_values.URL_PREFIX + kind, value=_values.encode_json(content))


def _sequence(value: Value) -> list[Value]:
    if isinstance(value, (list, tuple)):
        return list(value)
    tolist = getattr(value, "tolist", None)
    found = tolist() if callable(tolist) else None
    if not isinstance(found, list):
        raise Invalid("must be a numeric list")
    return found


def _numpy_raw(value: Value) -> tuple[str, bytes] | None:
    if not is_numpy_array(value) or value.dtype.name not in _DTYPES:
        return None
    return value.dtype.name, value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()


def _list_raw(elements: list[Value], *, floats: bool) -> tuple[str, bytes] | None:
    """None where an element does not fit, which JSON can still say."""
    whole = not floats and all(type(element) is int for element in elements)
    try:
        packed = array("q" if whole else "d", elements)
    except (OverflowError, TypeError):
        return None
    if sys.byteorder == "big":
        packed.byteswap()
    return "int64" if whole else "float64", packed.tobytes()


def _description(data: bytes) -> dict[str, Value]:
    try:
        about = json.loads(data)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}
