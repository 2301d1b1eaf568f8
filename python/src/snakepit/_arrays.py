"""Arrays of numbers as raw bytes: little-endian, row-major, described by a dtype and a shape.

Written from numpy's arrays, `array.array` and memoryviews of numbers, with one copy; read as arrays of numpy,
without a copy and read-only, where numpy is installed. numpy is imported by the first array that is read.
"""

from __future__ import annotations

import functools
import math
import struct
import sys
from array import array
from typing import Any, Final, NamedTuple

from snakepit.errors import Invalid

# dtype → the code that `array` and `struct` know it by, and its bytes.
DTYPES: Final = {
    "float16": ("e", 2),
    "float32": ("f", 4),
    "float64": ("d", 8),
    "int8": ("b", 1),
    "uint8": ("B", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "uint32": ("I", 4),
    "int64": ("q", 8),
    "uint64": ("Q", 8),
    "bool": ("?", 1),
}
# What `array` has no code for.
_BY_STRUCT: Final = frozenset(("float16", "bool"))
_SIGNED: Final = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
_UNSIGNED: Final = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}
_DIMENSIONS_MAX: Final = 64
# Lists that an array without elements may be: its shape alone says how many.
_EMPTY_LISTS_MAX: Final = 65_536


class Raw(NamedTuple):
    """An array to write."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Description(NamedTuple):
    """What is beside an array that was read; `kind` is tensor or embedding."""

    kind: str
    dtype: str
    shape: tuple[int, ...]


def raw(value: object) -> Raw | None:
    """The array in raw form; None where the value is none, or its elements have no dtype here."""
    if isinstance(value, array):
        return _of_buffer(memoryview(value))
    if isinstance(value, memoryview):
        # Plain bytes are bytes.
        return None if value.format in ("B", "b", "c") and value.ndim == 1 else _of_buffer(value)
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value).__module__ != "numpy" or not isinstance(value, numpy.ndarray):
        return None
    if value.dtype.name not in DTYPES or value.ndim == 0:
        return None
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return Raw(value.dtype.name, value.shape, little.tobytes())


def describe(about: dict[str, Any], payload_bytes: int) -> Description:
    """The description in its JSON. Raises Invalid where it contradicts itself or the payload's size."""
    dtype, shape = about.get("dtype"), about.get("shape")
    if dtype not in DTYPES:
        raise Invalid(f"dtype {dtype!r} is not known; use one of {', '.join(DTYPES)}")
    return Description(
        str(about.get("type", "")), dtype, checked_shape(shape, payload_bytes, DTYPES[dtype][1], dtype)
    )


def checked_shape(shape: Any, payload_bytes: int, size: int, dtype: str) -> tuple[int, ...]:
    """A shape that fits so many bytes. Raises Invalid where it does not."""
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Invalid("a binary value's shape is not a list of sizes")
    if len(shape) > _DIMENSIONS_MAX:
        raise Invalid(f"a binary value's shape has more than {_DIMENSIONS_MAX} dimensions")
    if math.prod(shape) * size != payload_bytes:
        raise Invalid(f"data size doesn't match shape: {payload_bytes} bytes for {shape} of {dtype}")
    return tuple(shape)


def elements(about: Description, payload: bytes) -> list[Any]:
    """All elements, flat, as Python's numbers."""
    code, size = DTYPES[about.dtype]
    if about.dtype in _BY_STRUCT:
        return list(struct.unpack(f"<{len(payload) // size}{code}", payload))
    found = array(code, payload)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()


def read(about: Description, payload: bytes) -> Any:
    """An array of numpy over the payload itself; where numpy is missing, what JSON would have given."""
    numpy = _numpy()
    if numpy is None and about.kind == "list":
        return nested(about, payload)
    if numpy is None:
        flat = elements(about, payload)
        return {"shape": list(about.shape), "data": flat} if about.kind == "tensor" else flat
    dtype = numpy.dtype(about.dtype).newbyteorder("<")
    try:
        if not payload:
            empty = numpy.zeros(about.shape, dtype)
            empty.flags.writeable = False
            return empty
        return numpy.frombuffer(payload, dtype).reshape(about.shape)
    except (ValueError, OverflowError, MemoryError) as error:
        raise Invalid(f"numpy cannot make an array of shape {list(about.shape)}: {error}") from error


def nested(about: Description, payload: bytes) -> list[Any]:
    """The elements in lists of lists, as numpy's `tolist` gives them. Raises Invalid for too many."""
    lists, of_lists = 1, 0
    for length in about.shape:
        of_lists += lists
        lists *= length
    if of_lists > max(_EMPTY_LISTS_MAX, len(payload)):
        raise Invalid(f"an array of shape {list(about.shape)} is {of_lists} lists; read it with numpy")
    level: list[Any] = elements(about, payload)
    if 0 in about.shape:
        return _empty(about.shape)
    for length in reversed(about.shape[1:]):
        level = [level[at : at + length] for at in range(0, len(level), length)]
    return level


def _empty(shape: tuple[int, ...]) -> list[Any]:
    return [_empty(shape[1:]) for _ in range(shape[0])] if len(shape) > 1 else []


def shape_of(nested: object) -> list[int]:
    """The shape of nested lists. Raises Invalid where they are ragged."""
    if not isinstance(nested, (list, tuple)):
        return []
    shapes = [shape_of(item) for item in nested]
    if any(shape != shapes[0] for shape in shapes):
        raise Invalid("the nested lists of a tensor are not of one length")
    return [len(nested), *(shapes[0] if shapes else [])]


def _of_buffer(view: memoryview) -> Raw | None:
    dtype = _dtype(view.format.lstrip("@="), view.itemsize)
    if dtype is None or view.ndim == 0:
        return None
    data = view.tobytes()
    if sys.byteorder == "big":
        swapped = array(DTYPES[dtype][0].replace("e", "h").replace("?", "B"), data)
        swapped.byteswap()
        data = swapped.tobytes()
    return Raw(dtype, tuple(view.shape or ()), data)


def _dtype(code: str, size: int) -> str | None:
    """The dtype of a native code; `l` and `n` are of different sizes on different machines."""
    if len(code) != 1:
        return None
    if code in "bhilqn":
        return _SIGNED.get(size)
    if code in "BHILQN":
        return _UNSIGNED.get(size)
    return {"e": "float16", "f": "float32", "d": "float64", "?": "bool"}.get(code)


@functools.cache
def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy
