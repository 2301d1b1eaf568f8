"""What went wrong in an exception of numpy, torch or jax, and what to do about it, by the words it uses."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

TEXT_CHARS_MAX: Final = 4096

SHAPE: Final = "shape_mismatch"
DTYPE: Final = "dtype_mismatch"
DEVICE: Final = "device_mismatch"
MEMORY: Final = "out_of_memory"

_HINTS: Final = {
    SHAPE: "compare the shapes in details, and reshape, transpose or pad the actual one",
    DTYPE: "convert one of them so that both dtypes are the same",
    DEVICE: "move model and data to the same device before the operation",
    MEMORY: "take a smaller batch, a smaller dtype, or work in pieces",
}
_ON_ACCELERATOR: Final = "; free what is cached on the device"
_UNITS: Final = {
    "": 1,
    "b": 1,
    "bytes": 1,
    **{f"{letter}b": 1000**n for n, letter in enumerate("kmgtpe", 1)},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgtpe", 1)},
}
# Torch counts by 1024 under either name.
_TORCH_UNITS: Final = _UNITS | {f"{letter}b": 1024**n for n, letter in enumerate("kmgtpe", 1)}


@dataclass(frozen=True, slots=True)
class Hint:
    """What can be told of an exception; empty where nothing can."""

    kind: str = ""
    hint: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Hint()

Details = dict[str, str]
# Makes more of the named groups of a match.
_Finish = Callable[[Details], Details]
_Row = tuple[str, re.Pattern[str], _Finish | None]


def of(error: BaseException, text: str) -> Hint:
    """What an exception with this text says. Its own `hint`, where it has one, goes before ours."""
    found = _by_text(text[:TEXT_CHARS_MAX])
    if not found.kind and isinstance(error, MemoryError):
        found = Hint(MEMORY, _HINTS[MEMORY], {"device": "cpu"})
    own = getattr(error, "hint", "")
    return Hint(found.kind, own, found.details) if isinstance(own, str) and own else found


def _by_text(text: str) -> Hint:
    if not _MAYBE.search(text):
        return NOTHING
    for kind, pattern, finish in _table():
        match = pattern.search(text)
        if match is not None:
            details = {name: value.strip() for name, value in match.groupdict().items() if value}
            if finish is not None:
                details = finish(details)
            return _hint(kind, details)
    return NOTHING


def _hint(kind: str, details: Details) -> Hint:
    # The same words tell of tensors on two devices and of two dtypes.
    if kind == DTYPE and ("cuda" in details.get("expected_dtype", "")) != (
        "cuda" in details.get("actual_dtype", "")
    ):
        kind = DEVICE
        details = {
            f"{side}_device": "cuda" if "cuda" in details[f"{side}_dtype"] else "cpu"
            for side in ("expected", "actual")
            if f"{side}_dtype" in details
        }
    more = _ON_ACCELERATOR if kind == MEMORY and details.get("device", "cpu") != "cpu" else ""
    return Hint(kind, _HINTS[kind] + more, details)


def _bytes(units: Mapping[str, int], device: str = "") -> _Finish:
    def finish(details: Details) -> Details:
        amount, unit = details.pop("amount", ""), details.pop("unit", "").lower()
        if amount and unit in units:
            details["requested_bytes"] = str(int(float(amount) * units[unit]))
        number = details.pop("number", "")
        if device:
            details.setdefault("device", f"{device}:{number}" if number else device)
        return details

    return finish


def _matrices(details: Details) -> Details:
    """`2x3` as the shape that it is."""
    return {
        name: f"({', '.join(value.split('x'))})" if name.endswith("shape") else value
        for name, value in details.items()
    }


_SHAPE: Final = r"[(\[][\d, ]*[)\]]"
_SIZED: Final = r"(?P<amount>\d+(?:\.\d*)?) ?(?P<unit>bytes|[KMGTPE]?i?B)\b"
_MAYBE: Final = re.compile(
    r"(?i)shape|size|dtype|type|dimension|device|memor|alloc|aligned|channels|resource"
)


def _row(kind: str, pattern: str, finish: _Finish | None = None) -> _Row:
    pattern = pattern.replace("<E>", f"(?P<expected_shape>{_SHAPE})").replace(
        "<A>", f"(?P<actual_shape>{_SHAPE})"
    )
    return kind, re.compile(pattern), finish


@functools.cache
def _table() -> tuple[_Row, ...]:
    """Compiled by the first exception: it takes longer than a worker's other imports."""
    return (
        # Memory first: such texts are long and speak of sizes and shapes too.
        _row(MEMORY, rf"Unable to allocate {_SIZED}(?: for an array with shape <A>)?", _bytes(_UNITS, "cpu")),
        _row(MEMORY, rf"CUDA out of memory\. Tried to allocate {_SIZED}\.? \(?GPU (?P<number>\d+)", _bytes(_TORCH_UNITS, "cuda")),
        _row(MEMORY, rf"CUDA out of memory(?:.{{0,300}}?Tried to allocate {_SIZED})?", _bytes(_TORCH_UNITS, "cuda")),
        _row(MEMORY, rf"HIP out of memory(?:.{{0,300}}?Tried to allocate {_SIZED})?", _bytes(_TORCH_UNITS, "hip")),
        _row(MEMORY, rf"MPS backend out of memory(?:.{{0,300}}?Tried to allocate {_SIZED})?", _bytes(_TORCH_UNITS, "mps")),
        _row(MEMORY, r"CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED", _bytes({}, "cuda")),
        _row(MEMORY, rf"can't allocate memory: you tried to allocate {_SIZED}", _bytes(_UNITS, "cpu")),
        _row(MEMORY, rf"(?:Out of memory|RESOURCE_EXHAUSTED).{{0,200}}?(?:trying|Failed) to allocate (?:request for )?{_SIZED}", _bytes(_UNITS)),
        _row(MEMORY, r"RESOURCE_EXHAUSTED|[Oo]ut of memory|[Cc]annot allocate memory"),
        # Devices.
        _row(DEVICE, r"found at least two devices, (?P<expected_device>[\w:]+) and (?P<actual_device>[\w:]+)"),
        _row(DEVICE, r"same device, but got .{1,60}? is on (?P<actual_device>[\w:]+), different from other tensors on (?P<expected_device>[\w:]+)"),
        _row(DEVICE, r"Expected object of device type (?P<expected_device>\w+) but got device type (?P<actual_device>\w+)"),
        _row(DEVICE, r"can't convert (?P<actual_device>\w+:?\d*) device type tensor to numpy"),
        _row(DEVICE, r"incompatible devices for jitted computation.{0,200}?on platform (?P<expected_device>\w+).{0,300}?on platform (?P<actual_device>\w+)"),
        # Dtypes.
        _row(DTYPE, r"Input type \((?P<actual_dtype>[\w.]+)\) and (?:weight|bias) type \((?P<expected_dtype>[\w.]+)\) should be the same"),
        _row(DTYPE, r"expected scalar type (?P<expected_dtype>\w+) but found (?P<actual_dtype>\w+)"),
        _row(DTYPE, r"to have the same dtype, but got: (?P<expected_dtype>[\w:]+) != (?P<actual_dtype>[\w:]+)"),
        _row(DTYPE, r"must have the same dtype, but got (?P<expected_dtype>[\w:.]+) and (?P<actual_dtype>[\w:.]+)"),
        _row(DTYPE, r"requires arguments to have the same dtypes, got (?P<expected_dtype>\w+), (?P<actual_dtype>\w+)"),
        _row(DTYPE, r"Cannot cast .{0,80}?from dtype\('(?P<actual_dtype>[^']+)'\) to dtype\('(?P<expected_dtype>[^']+)'\)"),
        _row(DTYPE, r"did not contain a loop with signature matching types \((?:<class 'numpy\.dtypes\.)?(?:dtype\(')?(?P<expected_dtype>[^')>]+)'?\)?>?, (?:<class 'numpy\.dtypes\.)?(?:dtype\(')?(?P<actual_dtype>[^')>]+)"),
        _row(DTYPE, r"ufunc '[^']+' not supported for the input types"),
        _row(DTYPE, r"Expected tensor for argument #\d+ '\w+' to have (?:one of the following )?scalar types?:? (?P<expected_dtype>[\w, ]+); but got (?:\w+\.)*(?P<actual_dtype>\w+)"),
        # Shapes.
        _row(SHAPE, r"shapes cannot be multiplied \((?P<expected_shape>\d+x\d+) and (?P<actual_shape>\d+x\d+)\)", _matrices),
        _row(SHAPE, r"could not be broadcast together with (?:remapped )?shapes (?:\[original->remapped\]: )?<E>(?: and)? <A>"),
        _row(SHAPE, r"shapes <E> and <A> not aligned"),
        _row(SHAPE, r"could not broadcast input array from shape <A> into shape <E>"),
        _row(SHAPE, r"cannot reshape array of size (?P<actual_size>\d+) into shape <E>"),
        _row(SHAPE, r"shape '<E>' is invalid for input of size (?P<actual_size>\d+)"),
        _row(SHAPE, r"mismatch in its core dimension (?P<dimension>\d+), .{0,200}?\(size (?P<actual_size>\d+) is different from (?P<expected_size>\d+)\)"),
        _row(SHAPE, r"along dimension (?P<dimension>\d+), the array at index 0 has size (?P<expected_size>\d+) and the array at index \d+ has size (?P<actual_size>\d+)"),
        _row(SHAPE, r"size of tensor a \((?P<actual_size>\d+)\) must match the size of tensor b \((?P<expected_size>\d+)\) at non-singleton dimension (?P<dimension>\d+)"),
        _row(SHAPE, r"copying a param with shape torch\.Size\(<A>\) from checkpoint, the shape in current model is torch\.Size\(<E>\)"),
        _row(SHAPE, r"expected input<A> to have (?P<expected_size>\d+) channels, but got (?P<actual_size>\d+) channels"),
        _row(SHAPE, r"Expected input batch_size \((?P<actual_size>\d+)\) to match target batch_size \((?P<expected_size>\d+)\)"),
        _row(SHAPE, r"incompatible shapes for broadcasting: <E>, <A>"),
        _row(SHAPE, r"Incompatible shapes for broadcasting: (?:shapes=\[)?<E>,? (?:and )?<A>"),
        _row(SHAPE, r"contracting dimensions to have the same shape, got <E> and <A>"),
        _row(SHAPE, r"all (?:the )?input arrays? (?:must have the same shape|dimensions)|inhomogeneous shape|must have the same shape"),
    )  # fmt: skip
