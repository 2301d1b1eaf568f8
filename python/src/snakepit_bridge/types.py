"""The types of variables, and what values each takes."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from google.protobuf.any_pb2 import Any as WireAny

from snakepit_bridge import _wire

__all__ = [
    "BooleanValidator",
    "FloatValidator",
    "IntegerValidator",
    "StringValidator",
    "TypeValidator",
    "VariableType",
    "deserialize_value",
    "serialize_value",
    "validate_constraints",
]

_SPECIAL: Final = {
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}


class VariableType(Enum):
    """A type of variables; its value is its name on the wire."""

    FLOAT = "float"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MODULE = "module"
    EMBEDDING = "embedding"
    TENSOR = "tensor"
    MAP = "map"
    LIST = "list"
    NULL = "null"
    BYTES = "bytes"

    def to_proto(self) -> str:
        """Its name on the wire."""
        return self.value

    @classmethod
    def from_proto(cls, name: str) -> VariableType:
        """The type of a name on the wire. Raises ValueError."""
        try:
            return cls(name.lower())
        except ValueError:
            raise ValueError(f"Unknown type: {name}") from None


def type_name(var_type: VariableType | str) -> str:
    """A type's name on the wire; names that are not known here are left to the node."""
    return var_type.value if isinstance(var_type, VariableType) else str(var_type).lower()


class StringValidator:
    """Takes anything but None, as text."""

    @classmethod
    def validate(cls, value: Any) -> Any:
        """The value as the type has it. Raises ValueError."""
        if value is None:
            raise ValueError("cannot be nil")
        return value if isinstance(value, str) else str(value)

    @classmethod
    def validate_constraints(cls, value: Any, constraints: Mapping[str, Any]) -> None:
        """Raises ValueError for the first constraint that does not hold."""
        text = str(value)
        if "min_length" in constraints and len(text) < constraints["min_length"]:
            raise ValueError(f"String too short: {len(text)} < {constraints['min_length']}")
        if "max_length" in constraints and len(text) > constraints["max_length"]:
            raise ValueError(f"String too long: {len(text)} > {constraints['max_length']}")
        pattern = constraints.get("pattern")
        # Anywhere in the text, as the nodes look for it.
        if pattern and not re.search(pattern, text):
            raise ValueError(f"String doesn't match pattern: {pattern}")
        choices = constraints.get("enum") or constraints.get("choices")
        if choices and text not in choices:
            raise ValueError(f"Value must be one of: {list(choices)}")


class _Number:
    @classmethod
    def validate_constraints(cls, value: Any, constraints: Mapping[str, Any]) -> None:
        """Raises ValueError for the first bound that does not hold; NaN and infinities skip them."""
        if isinstance(value, float) and not math.isfinite(value):
            return
        if "min" in constraints and value < constraints["min"]:
            raise ValueError(f"Value {value} below minimum {constraints['min']}")
        if "max" in constraints and value > constraints["max"]:
            raise ValueError(f"Value {value} above maximum {constraints['max']}")


class FloatValidator(_Number):
    """Takes numbers, and text of numbers."""

    @classmethod
    def validate(cls, value: Any) -> float:
        """The value as the type has it. Raises ValueError."""
        value = _scalar(value)
        if isinstance(value, str):
            text = value.strip().lower()
            try:
                return _SPECIAL[text] if text in _SPECIAL else float(text)
            except ValueError:
                raise ValueError(f"must be a number, got {value!r}") from None
        if isinstance(value, (bool, int, float)):
            try:
                return float(value)
            except OverflowError:
                raise ValueError("must be a number that fits a float") from None
        raise ValueError(f"must be a number, got {type(value).__name__}")


class IntegerValidator(_Number):
    """Takes whole numbers, and text of them."""

    @classmethod
    def validate(cls, value: Any) -> int:
        """The value as the type has it. Raises ValueError."""
        value = _scalar(value)
        if isinstance(value, bool):
            raise ValueError("must be an integer, got a boolean")
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            if not value.is_integer():
                raise ValueError(f"must be a whole number, got {value}")
            return int(value)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                raise ValueError(f"must be a whole number, got {value!r}") from None
        raise ValueError(f"must be an integer, got {type(value).__name__}")


class BooleanValidator:
    """Takes booleans, their names, 1 and 0."""

    @classmethod
    def validate(cls, value: Any) -> bool:
        """The value as the type has it. Raises ValueError."""
        value = _scalar(value)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise ValueError("must be a boolean (true or false)")

    @classmethod
    def validate_constraints(cls, value: Any, constraints: Mapping[str, Any]) -> None:
        """Booleans have none."""


class _Shaped:
    """Types that a function checks; their constraints are the node's to check."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def validate(self, value: Any) -> Any:
        """The value as the type has it. Raises ValueError."""
        return self._check(value)

    def validate_constraints(self, value: Any, constraints: Mapping[str, Any]) -> None:
        """Left to the node, which knows shapes and dimensions."""


def _embedding(value: Any) -> Any:
    if _wire.is_numpy_array(value):
        if value.ndim != 1:
            raise ValueError("must be a numeric list")
        return value
    if isinstance(value, array):
        return value
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a numeric list")
    try:
        return [FloatValidator.validate(_not_text(item)) for item in value]
    except ValueError:
        raise ValueError("must be a list of numbers") from None


def _not_text(item: Any) -> Any:
    if isinstance(item, (str, bool)):
        raise ValueError("must be a list of numbers")
    return item


def _tensor(value: Any) -> Any:
    if _wire.is_numpy_array(value):
        return value
    shape, data = _wire.tensor_parts(value)
    if math.prod(shape) != len(data):
        raise ValueError("data size doesn't match shape")
    return {"shape": shape, "data": data}


def _map(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("must be a map")
    return dict(value)


def _list(value: Any) -> Any:
    if _wire.is_numpy_array(value) or isinstance(value, array):
        return value.tolist()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError("must be a list")
    return list(value)


def _null(value: Any) -> None:
    if value is not None:
        raise ValueError("must be null")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError("must be bytes")
    return bytes(value)


class _Choice(StringValidator):
    @classmethod
    def validate(cls, value: Any) -> Any:
        """Text; None and booleans are the node's to name."""
        return value if value is None or isinstance(value, bool) else super().validate(value)


_VALIDATORS: Final[dict[str, Any]] = {
    "float": FloatValidator,
    "integer": IntegerValidator,
    "string": StringValidator,
    "boolean": BooleanValidator,
    "choice": _Choice,
    "module": _Choice,
    "embedding": _Shaped(_embedding),
    "tensor": _Shaped(_tensor),
    "map": _Shaped(_map),
    "list": _Shaped(_list),
    "null": _Shaped(_null),
    "bytes": _Shaped(_bytes),
}
_INFERRED: Final[tuple[tuple[type | tuple[type, ...], VariableType], ...]] = (
    (bool, VariableType.BOOLEAN),
    (int, VariableType.INTEGER),
    (float, VariableType.FLOAT),
    (str, VariableType.STRING),
    ((bytes, bytearray, memoryview), VariableType.BYTES),
    (Mapping, VariableType.MAP),
    (array, VariableType.EMBEDDING),
    ((list, tuple), VariableType.LIST),
)


class TypeValidator:
    """Checks and converts values by type; its methods need no instance."""

    @staticmethod
    def validate(value: Any, var_type: VariableType | str) -> Any:
        """The value as the type has it. Raises ValueError."""
        validator = _VALIDATORS.get(type_name(var_type))
        return value if validator is None else validator.validate(value)

    @staticmethod
    def validate_constraints(
        value: Any, var_type: VariableType | str, constraints: Mapping[str, Any] | None
    ) -> None:
        """Raises ValueError for the first constraint that does not hold."""
        TypeValidator.get_validator(var_type).validate_constraints(value, constraints or {})

    @staticmethod
    def get_validator(var_type: VariableType | str) -> Any:
        """What checks a type. Raises ValueError where there is no such type."""
        name = type_name(var_type)
        if name not in _VALIDATORS:
            raise ValueError(f"Unknown type: {name}")
        return _VALIDATORS[name]

    @staticmethod
    def infer_type(value: Any) -> VariableType:
        """The type that a value gets where none is named. Raises ValueError where there is none."""
        value = _scalar(value)
        if value is None:
            return VariableType.NULL
        if _wire.is_numpy_array(value):
            return VariableType.TENSOR
        for kinds, found in _INFERRED:
            if isinstance(value, kinds):
                return found
        raise ValueError(f"a value of type {type(value).__name__} has no type of variables")


def serialize_value(value: Any, var_type: VariableType | str) -> WireAny:
    """A value on the wire; one that needs a payload beside it is `TypeSerializer.encode_any`'s."""
    name = type_name(var_type)
    encoded, payload = _wire.encode(TypeValidator.validate(value, name), name)
    if payload is not None and encoded.type_url.endswith(".binary"):
        raise ValueError("the array is too large for its message alone; use TypeSerializer.encode_any")
    if payload is not None:
        encoded.value = payload
    return encoded


def deserialize_value(any_value: WireAny, var_type: VariableType | str | None = None) -> Any:
    """The value of an Any; as `var_type` has it, where one is given."""
    value = _wire.decode(any_value)
    return value if var_type is None else TypeValidator.validate(value, var_type)


def validate_constraints(
    value: Any, var_type: VariableType | str, constraints: Mapping[str, Any] | None
) -> None:
    """Raises ValueError for the first constraint that does not hold."""
    TypeValidator.validate_constraints(value, var_type, constraints)


def _scalar(value: Any) -> Any:
    """Scalars of numpy as Python's."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    return value
