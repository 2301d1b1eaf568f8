"""Pickles as old Snakepit clients wrote them: lists and numbers, read without running anything."""

from __future__ import annotations

import io
import pickle
from typing import Any, Final, NoReturn

from snakepit import _arrays
from snakepit.errors import Invalid

_NUMBERS: Final = (bool, int, float)
_DEPTH_MAX: Final = 64


class _Numbers(pickle.Unpickler):
    """Knows no class and no function: what is not built of literals is refused."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise Invalid(f"a pickle names {module}.{name}; only lists and numbers are read from pickles")

    def persistent_load(self, pid: Any, /) -> NoReturn:  # noqa: ARG002
        raise Invalid("a pickle refers to something outside of itself; only lists and numbers are read")


def read(about: dict[str, Any], payload: bytes) -> Any:
    """The list of numbers in a pickle, in the form that the JSON of its type has.

    Raises Invalid where there is anything else in it.
    """
    try:
        found = _Numbers(io.BytesIO(payload)).load()
    except Invalid:
        raise
    except Exception as error:
        raise Invalid(f"a pickle cannot be read: {error}") from error
    plain = _plain(found, _DEPTH_MAX)
    if about.get("type") != "tensor":
        return plain
    shape = about.get("shape")
    return {"shape": shape if isinstance(shape, list) else _arrays.shape_of(plain), "data": plain}


def _plain(found: object, depth: int) -> Any:
    if isinstance(found, _NUMBERS):
        return found
    if isinstance(found, (list, tuple)) and depth:
        return [_plain(item, depth - 1) for item in found]
    raise Invalid(f"a pickle holds a {type(found).__name__}; only lists and numbers are read from pickles")
