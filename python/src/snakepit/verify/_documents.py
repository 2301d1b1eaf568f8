"""JSON of which nothing is lost, and what differs between two of it.

A number is its text, as bytes: no string equals it, and none of its digits is rounded away.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, TypeAlias, cast

Json: TypeAlias = "bool | bytes | str | list[Json] | dict[str, Json] | None"

# Levels of a document that is shown, at most.
DEPTH_MAX: Final = 127
SHOWN_CHARS: Final = 60


class NotJson(ValueError):
    """Text that is no JSON, or that says something twice."""


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the key {shown(twice)} stands twice in an object")
    return found


def _real(text: str) -> bytes:
    """The text with its exponent in the form `e+5`."""
    mantissa, mark, exponent = text.lower().partition("e")
    if mark and exponent[0] not in "+-":
        exponent = "+" + exponent
    return (mantissa + mark + exponent).encode()


def _constant(text: str) -> Json:
    raise NotJson(f"{text} is no JSON")


def _decoder(pairs: Callable[[list[tuple[str, Json]]], dict[str, Json]]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs, parse_int=str.encode, parse_float=_real, parse_constant=_constant
    )


_STRICT: Final = _decoder(_unique)
# The last one counts where a key stands twice.
_LENIENT: Final = _decoder(dict)


def parse(text: str) -> tuple[Json, int]:
    """What text begins with, and where that ends. Raises NotJson."""
    try:
        found, end = _STRICT.raw_decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"no JSON at character {error.pos}") from error
    except RecursionError as error:
        raise NotJson("nested too deep") from error
    return cast(Json, found), end


def document(text: str) -> Json:
    """What a document of an event is shown as: null where it is none."""
    try:
        found = cast(Json, _LENIENT.decode(text))
    except (ValueError, RecursionError):
        return None
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(found) > DEPTH_MAX:
        return None
    return None if "\\u" in text and has_half(found) else found


def _depth(document: Json) -> int:
    deepest, left = 0, [(document, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, list | dict):
            deepest = max(deepest, depth)
            inner = item.values() if isinstance(item, dict) else item
            left.extend((each, depth + 1) for each in inner)
    return deepest


def has_half(document: Json) -> bool:
    """Whether a string in it has half of a surrogate pair, which is no character."""
    left = [document]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item)
            left.extend(item.values())
        elif isinstance(item, str) and any("\ud800" <= char <= "\udfff" for char in item):
            return True
    return False


def shown(item: object) -> str:
    """JSON for people, cut."""
    text = _text(item)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _text(item: object) -> str:
    if isinstance(item, bytes):
        return item.decode()
    if isinstance(item, dict):
        return "{" + ", ".join(f"{_text(name)}: {_text(each)}" for name, each in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(_text, item)) + "]"
    if item is None or isinstance(item, bool | str):
        return json.dumps(item)
    return str(item)


def difference(want: object, got: object, path: str = "") -> str:
    """The first thing in which what is shown is not what the bytes say."""
    if isinstance(want, dict) and isinstance(got, dict):
        for name in [*want, *got]:
            place = f"{path}.{name}" if path else str(name)
            if name not in got:
                return f"{_safe(place)} is missing, the bytes say {shown(want[name])}"
            if name not in want:
                return f"{_safe(place)} is {shown(got[name])}, there is no such field"
            if want[name] != got[name]:
                return difference(want[name], got[name], place)
    if isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            return f"{_safe(path)} has {len(got)} items, the bytes say {len(want)}"
        for index, (one, other) in enumerate(zip(want, got, strict=True)):
            if one != other:
                return difference(one, other, f"{path}[{index}]")
    return f"{_safe(path)} is {shown(got)}, the bytes say {shown(want)}"


def _safe(path: str) -> str:
    """Keys that somebody made up do not get at a terminal."""
    return path if path.isprintable() and len(path) <= 200 else shown(path)
