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
            return special is not None and (special == number or (special != special and number != number))
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
    """Whether a float32 is the nearest one to the text; read as a double it may have been rounded once."""
    if not math.isfinite(read) or number == 0 or not math.isclose(read, number, rel_tol=1e-6, abs_tol=1e-44):
        return False
    if (read < 0) != (number < 0):
        return False
    bits = int.from_bytes(pack("<f", abs(number)), "little")
    size = abs(number)
    below = unpack("<f", (bits - 1).to_bytes(4, "little"))[0]
    above = unpack("<f", (bits + 1).to_bytes(4, "little"))[0]
    if above == math.inf:
        above = 2 * size - below
    # Halves between two float32 are doubles.
    low, high = Fraction((below + size) / 2), Fraction((above + size) / 2)
    exact = abs(Fraction(text.decode()))
    return low < exact < high or (bits % 2 == 0 and exact in {low, high})
