"""Values to the wire and back, and what becomes of objects that the wire does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.any_pb2 import Any as WireAny

from snakepit import _graceful, _values
from snakepit_bridge import _wire
from snakepit_bridge._wire import BINARY_THRESHOLD
from snakepit_bridge.types import TypeValidator, VariableType, type_name

__all__ = [
    "BINARY_THRESHOLD",
    "TypeSerializer",
    "encode_result",
    "redact",
    "to_plain",
    "unserializable_marker",
]

to_plain = _graceful.to_plain
redact = _graceful.redact
unserializable_marker = _graceful.mark

_SIMPLE: Final = frozenset((type(None), bool, int, float, str, bytes))


class TypeSerializer:
    """Values of a variable's type; its methods need no instance."""

    @staticmethod
    def encode_any(value: Any, var_type: VariableType | str) -> tuple[WireAny, bytes | None]:
        """An Any, and the payload beside it where the array is large. Raises ValueError."""
        kind = type_name(var_type)
        return _wire.encode(TypeValidator.validate(value, kind), kind)

    @staticmethod
    def decode_any(any_value: WireAny, binary_data: bytes | None = None) -> Any:
        """The value of an Any and the payload beside it. Raises ValueError."""
        return _wire.decode(any_value, binary_data)

    @staticmethod
    def validate_constraints(
        value: Any, var_type: VariableType | str, constraints: Mapping[str, Any] | None
    ) -> None:
        """Raises ValueError for the first constraint that does not hold."""
        TypeValidator.validate_constraints(value, var_type, constraints)


def encode_result(value: Any) -> tuple[WireAny, bytes | None]:
    """A tool's result; objects that the wire does not know are converted, or marked."""
    return _values.encode(_known(value))


def encode_chunk_data(value: Any) -> bytes:
    """A chunk's data as JSON, with the same conversions."""
    return _values.encode_json(_known(value))


def _known(value: Any) -> Any:
    """The value in terms that the wire knows; an array by itself is one of them, however large."""
    if type(value) in _SIMPLE or _wire.is_numpy_array(value):
        return value
    return to_plain(value)
