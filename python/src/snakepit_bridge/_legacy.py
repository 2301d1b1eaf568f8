"""Results byte for byte as Snakepit's own Python wrote them, for readers that depend on its oddities."""

from __future__ import annotations

import json
import math
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any as Value
from typing import Final

from google.protobuf.any_pb2 import Any

from snakepit import _graceful
from snakepit._values import URL_PREFIX
from snakepit.errors import Invalid

ENVIRONMENT: Final = "SNAKEPIT_LEGACY_RESULTS"
STREAMED: Final = {"error": "Streaming tool called on non-streaming endpoint."}
GENERATIONS: Final = ("0.4", "0.13")


def chosen(adapter: object = None) -> str:
    """`0.4`, `0.13` or nothing: the environment's, else the adapter's own `legacy_results`."""
    text = os.environ.get(ENVIRONMENT, "") or str(getattr(adapter, "legacy_results", "") or "")
    if text not in ("", *GENERATIONS):
        raise Invalid(f"{ENVIRONMENT} is {text!r}; it is '0.4', '0.13' or empty")
    return text


def encode(value: Value, generation: str) -> Any:
    """A result as that generation wrote it."""
    if isinstance(value, (Iterator, AsyncIterator)):
        value = STREAMED
    return _encode_04(value) if generation == "0.4" else _encode_013(value)


def _encode_04(value: Value) -> Any:
    """Each type by its name; whatever JSON does not know is the text that `str` makes of it."""
    kind, plain = _kind_of(value)
    if kind == "float":
        return _any(kind, _float_text(plain))
    try:
        return _any(kind, json.dumps(plain))
    except (TypeError, ValueError) as error:
        raise Invalid(f"the result is no JSON: {error}") from error


def _encode_013(value: Value) -> Any:
    """Integers go out as floats; inside of maps and lists NaN becomes null."""
    kind, plain = _kind_of(value)
    if kind == "integer":
        kind, plain = "float", float(plain)
    if kind == "float":
        return _any(kind, _float_text(plain))
    if kind in ("map", "list"):
        plain = _finite(_graceful.to_plain(plain))
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=_graceful.mark)
    return _any(kind, text)


def _kind_of(value: Value) -> tuple[str, Value]:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int):
        return "integer", value
    if isinstance(value, float):
        return "float", value
    if isinstance(value, str):
        return "string", value
    if isinstance(value, dict):
        return "map", value
    if isinstance(value, list):
        return "list", value
    return "string", str(value)


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return json.dumps(value)
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return f'"{name}"'


def _finite(value: Value) -> Value:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _any(kind: str, text: str) -> Any:
    return Any(type_url=URL_PREFIX + kind, value=text.encode())
