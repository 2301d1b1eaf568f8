"""Floating-point numbers of the bytes, beside the JSON in which they are shown."""

from __future__ import annotations

import math
from fractions import Fraction
from struct import pack, unpack
from typing import Final

SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Real:
    """Equal to JSON that reads back as the number: text with a point or an exponent, or a special's name."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_is_single", "_number")

    def __init__(self, number: float, is_single: bool = False) -> None:
        self._number = number
        self._is_single = is_single

    def __eq__(self, other: object) -> bool:
        number = self._number
        if isinstance(other, str):
            special = SPECIAL.get(other)
            return special is not None and (special == number or (math.isnan(special) and math.isnan(number)))
        if not isinstance(other, bytes) or (b"." not in other and b"e" not in other):
            return False
        read = float(other)
        if read == number:
            return math.isfinite(read) and math.copysign(1, read) == math.copysign(1, number)
        return self._is_single and math.isfinite(number) and _reads_as_single(other, read, number)

    def __repr__(self) -> str:
        return repr(self._number)


def reals(numbers: tuple[float, ...], is_single: bool) -> list[Real]:
    """Of an array."""
    return [Real(number, is_single) for number in numbers]


def _reads_as_single(text: bytes, read: float, number: float) -> bool:
    """Whether a float32 is the nearest one to the text; `read` is the double that is the nearest."""
    if number == 0 or (read < 0) != (number < 0):
        return False
    size, read = abs(number), abs(read)
    bits = int.from_bytes(pack("<f", size), "little")
    below, above = unpack("<2f", pack("<2I", bits - 1, bits + 1))
    if above == math.inf:
        above = 2 * size - below
    # Halfway between two float32 is a double.
    low, high = (below + size) / 2, (above + size) / 2
    if low < read < high:
        return True
    if read not in {low, high}:
        return False
    exact = abs(Fraction(text.decode()))
    return low < exact < high or (bits % 2 == 0 and exact == read)
