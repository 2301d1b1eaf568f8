"""Objects inside results as JSON's own values, as Snakepit 0.13 does it; what has no such form is marked.

============================================  ==============================================================
SNAKEPIT_TOLIST_MAX_ELEMENTS                  arrays of more elements are marked, not listed; 1,000,000
SNAKEPIT_UNSERIALIZABLE_DETAIL                `none` (default), `type`, `repr_truncated` or
                                              `repr_redacted_truncated`: what a mark tells beside the type
SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN           characters of a repr; 500, 2,000 at most
============================================  ==============================================================
"""

from __future__ import annotations

import math
import os
import re
from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final

from snakepit.errors import Invalid

MARK: Final = "__ffi_unserializable__"
TYPE: Final = "__type__"
REPR: Final = "__repr__"
DEPTH_MAX: Final = 100
TOLIST_MAX_ELEMENTS: Final = 1_000_000
REPR_MAXLEN: Final = 500
REPR_MAXLEN_MAX: Final = 2000

_REDACTED: Final = "***"
_SECRETS: Final = (
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]+"), r"\1 " + _REDACTED),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{6,}"), "sk-" + _REDACTED),
)
# A name, and what stands between it and its value. Possessive, so that long texts take linear time.
_NAMED: Final = re.compile(r"(?<![\w-])([\w-]++)[\"']?\s*+[:=]\s*+")
_SECRET_NAME: Final = re.compile(r"(?i)api[_-]?key|token|secret|password")
_VALUE: Final = re.compile(r"\"[^\"]*\"?|'[^']*'?|[^\s,;)}\]]+")
_MAYBE: Final = re.compile(r"(?i)bearer|sk-|api|token|secret|password")
_KEPT: Final = (str, int, float, bool, bytes, bytearray, memoryview, type(None))


def to_plain(
    value: Any, depth: int = DEPTH_MAX, *, keeps: Callable[[Any], bool] = lambda _value: False
) -> Any:
    """The value, with every object in it that the wire does not know, and `keeps` does not, replaced.

    In this order: `model_dump()`, `to_dict()`, `_asdict()`, `tolist()` where it is not too large,
    `isoformat()`, else the mark. Raises Invalid where it is nested too deep or holds itself.
    """
    if isinstance(value, _KEPT) or keeps(value):
        return value
    if depth == 0:
        raise Invalid(f"the value is nested more than {DEPTH_MAX} deep, or contains itself")
    if isinstance(value, Mapping):
        return {_key(key): to_plain(item, depth - 1, keeps=keeps) for key, item in value.items()}
    # A named tuple says its fields.
    for name in ("model_dump", "to_dict", "_asdict"):
        found = _called(value, name)
        if found is not None:
            return to_plain(found, depth - 1, keeps=keeps)
    if isinstance(value, (list, tuple)):
        return [to_plain(item, depth - 1, keeps=keeps) for item in value]
    if _may_be_listed(value):
        found = _called(value, "tolist")
        if found is not None:
            size = _count(found)
            return to_plain(found, depth - 1, keeps=keeps) if size <= _tolist_max() else mark(value)
    found = _called(value, "isoformat")
    return found if isinstance(found, str) else mark(value)


def mark(value: Any) -> dict[str, Any]:
    """What stands for an object that has no form on the wire."""
    kind = type(value)
    marked: dict[str, Any] = {MARK: True, TYPE: f"{kind.__module__}.{kind.__qualname__}"}
    detail = os.environ.get("SNAKEPIT_UNSERIALIZABLE_DETAIL", "none")
    if detail in ("repr_truncated", "repr_redacted_truncated"):
        shown = _repr(value)
        # A secret that is cut in half is no longer known for one, so it goes first.
        marked[REPR] = (redact(shown) if detail == "repr_redacted_truncated" else shown)[: _repr_max()]
    return marked


def redact(text: str) -> str:
    """The text without bearer tokens, `sk-` keys, and values that are called key, token, secret, password."""
    if not _MAYBE.search(text):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _without_named(text)


def _without_named(text: str) -> str:
    kept: list[str] = []
    done = 0
    for named in _NAMED.finditer(text):
        # What is inside of a value that has gone, or names no secret, stays as it is.
        if named.start() < done or not _SECRET_NAME.search(named[1]):
            continue
        value = _VALUE.match(text, named.end())
        if value is not None:
            kept += (text[done : named.end()], _REDACTED)
            done = value.end()
    return "".join((*kept, text[done:]))


def _called(value: Any, name: str) -> Any:
    """What a method without arguments returns; None where there is none, or it fails."""
    if isinstance(value, type):
        return None
    method: Callable[[], Any] | None = getattr(value, name, None)
    if not callable(method):
        return None
    try:
        return method()
    except Exception:
        return None


def _may_be_listed(value: Any) -> bool:
    """False where its own count of elements says that listing it takes too much."""
    if isinstance(value, array):
        return len(value) <= _tolist_max()
    shape = getattr(value, "shape", None)
    sizes = shape if isinstance(shape, tuple) else ()
    if sizes and all(isinstance(n, int) for n in sizes):
        return math.prod(sizes) <= _tolist_max()
    size = getattr(value, "size", 0)
    return not isinstance(size, int) or size <= _tolist_max()


def _count(found: Any) -> int:
    return sum(_count(item) for item in found) if isinstance(found, list) else 1


def _key(key: Any) -> Any:
    return key if isinstance(key, (str, int, float, bool, type(None))) else str(key)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<repr failed: {type(error).__name__}>"


def _tolist_max() -> int:
    return _number("SNAKEPIT_TOLIST_MAX_ELEMENTS", TOLIST_MAX_ELEMENTS)


def _repr_max() -> int:
    return min(_number("SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN", REPR_MAXLEN), REPR_MAXLEN_MAX)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default
