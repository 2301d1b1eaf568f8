"""Results and chunks of plain adapters: as they are, else with what the wire does not know converted."""

from __future__ import annotations

import sys
from typing import Any

from google.protobuf.any_pb2 import Any as WireAny

from snakepit import _arrays, _chunks, _graceful, _tool_values, _values
from snakepit.errors import Invalid


def encode(value: object) -> tuple[WireAny, bytes | None]:
    """A result, an array raw. Raises Invalid where it is nested too deep, or what it becomes has no form."""
    return _tool_values.raw_array(value) or encode_listed(value)


def encode_listed(value: object) -> tuple[WireAny, bytes | None]:
    """The same with arrays as lists, for who takes no others."""
    try:
        return _values.encode(value)
    except Invalid:
        return _values.encode(_graceful.to_plain(value, keeps=_is_array))


def encode_chunk(yielded: object) -> tuple[bytes, bool, dict[str, str]]:
    """The bytes, the mark of the last and the metadata of what a tool yielded. Raises Invalid as `encode`."""
    try:
        return _chunks.encode_chunk(yielded)
    except Invalid:
        data, final = _chunks.parts(yielded)
        return _chunks.encode_chunk(_chunks.StreamChunk(_graceful.to_plain(data, keeps=_is_array), final))


def _is_array(value: Any) -> bool:
    """Whether it is numpy's and of numbers, which the wire has a form for at any depth."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
        return False
    return type(value).__module__ == "numpy" and value.dtype.name in _arrays.DTYPES
