"""What a call brings for its tool."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from snakepit import _tool_values, _values
from snakepit._proto.worker_v1_pb2 import Call
from snakepit.errors import Invalid


def read(call: Call, listed: Container[str] = ()) -> dict[str, Any]:
    """A call's arguments, arrays as lists where `listed` names them. Raises Invalid for what is none."""
    if not call.binary_parameters:
        parameters, decode = call.parameters, _values.decode
        return {name: decode(parameters[name]) for name in parameters}
    arguments: dict[str, Any] = {}
    for name, payload in call.binary_parameters.items():
        if call.metadata.get(f"binary_format:{name}") == "pickle":
            raise Invalid(f"the argument {name} is a pickle, which is not read here, for it can run code")
        arguments[name] = payload
    for name, value in call.parameters.items():
        beside = call.binary_parameters.get(name)
        arguments[name] = _tool_values.decode(value, beside, as_lists=name in listed)
    return arguments
