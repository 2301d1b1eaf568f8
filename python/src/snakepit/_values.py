"""Values on the wire: Python values to `google.protobuf.Any` and back, without loss.

An Any here is not packed: its value is JSON in UTF-8, and its URL, ``type.googleapis.com/snakepit.<type>``,
names the type. Types: float, integer, string, boolean, null, map, list and bytes (whose payload travels
beside the Any); choice, module, embedding and tensor are written only where a type is asked for.

JSON knows no NaN, no infinities and no bytes. A float at the top is then the JSON string ``"NaN"``,
``"Infinity"`` or ``"-Infinity"``, as in Snakepit. Inside a map or list, where a string would be ambiguous,
it is ``{"__snakepit_float__": "NaN"}``, and bytes are ``{"__snakepit_bytes__": "<base64>"}``. A key of the
user's own that equals one of the two, or begins with ``__snakepit_=``, gets ``=`` after ``__snakepit_``, and
loses it when read.

Integers keep their value up to INTEGER_DIGITS_MAX digits. Tuples become lists, map keys strings (as JSON
does it; two keys that would become one are refused). Arrays and scalars of numpy become lists and numbers
here; as values of variables, where `Codec` writes them, and as arguments and results of tools, where
`_tool_values` does, they stay arrays. Nesting goes to DEPTH_MAX.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import sys
from typing import Any as Value
from typing import Final

from google.protobuf import wrappers_pb2
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Value as StructValue

from snakepit import _arrays
from snakepit.errors import Invalid

URL_PREFIX: Final = "type.googleapis.com/snakepit."
DEPTH_MAX: Final = 100
# Python's own bound on turning decimal text into integers, which takes quadratic time.
INTEGER_DIGITS_MAX: Final = 4300

_FLOAT_TAG: Final = "__snakepit_float__"
_BYTES_TAG: Final = "__snakepit_bytes__"
_OWN: Final = "__snakepit_"
_ESCAPED: Final = "__snakepit_="
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NULL: Final = Any(type_url=URL_PREFIX + "null", value=b"null")
_WRAPPERS: Final[dict[str, type[Message]]] = {
    "google.protobuf.StringValue": wrappers_pb2.StringValue,
    "google.protobuf.BytesValue": wrappers_pb2.BytesValue,
    "google.protobuf.BoolValue": wrappers_pb2.BoolValue,
    "google.protobuf.Int32Value": wrappers_pb2.Int32Value,
    "google.protobuf.Int64Value": wrappers_pb2.Int64Value,
    "google.protobuf.UInt32Value": wrappers_pb2.UInt32Value,
    "google.protobuf.UInt64Value": wrappers_pb2.UInt64Value,
    "google.protobuf.FloatValue": wrappers_pb2.FloatValue,
    "google.protobuf.DoubleValue": wrappers_pb2.DoubleValue,
}
# The first byte of a packed wrapper: field 1 as varint, 64 bits, length-prefixed, 32 bits.
_FIELD_ONE: Final = b"\x08\x09\x0a\x0d"
# The URLs that need no more than their JSON read.
_PLAIN_URLS: Final = {
    URL_PREFIX + kind: kind for kind in ("float", "integer", "string", "boolean", "null", "map", "list")
}
# Most values are of exactly these, and need no look at what else they might be.
_JSON_TYPES: Final = frozenset((bool, int, float, str, dict, list, tuple))

_decoder: Final = json.JSONDecoder()
_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


# --- Python to wire ---------------------------------------------------------------------------------------


def type_of(value: object) -> str:
    """The wire type that `encode` gives a value. Raises Invalid where it has none."""
    return encode(value)[0].type_url.removeprefix(URL_PREFIX)


def encode(value: object, type_name: str = "") -> tuple[Any, bytes | None]:
    """An Any, and the payload that travels beside it where the value is bytes.

    `type_name` overrides the inferred type's name, not the JSON. Raises Invalid (a ValueError) where the
    value, or something in it, has no encoding.
    """
    if value is None:
        return _NULL if not type_name else _any(type_name, "null"), None
    if type(value) not in _JSON_TYPES:
        value = _simplified(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Any(type_url=URL_PREFIX + (type_name or "bytes")), bytes(value)
    inferred, text = _top(value)
    return _any(type_name or inferred, text), None


def encode_json(value: object) -> bytes:
    """One value as JSON alone, as chunks of a stream carry it. Raises Invalid as `encode` does."""
    return _utf8(_json(value))


def _top(value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, str):
        return "string", _dump(value)
    if isinstance(value, int):
        return "integer", _integer(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return "float", float.__repr__(value)
        return "float", f'"{_special_name(value)}"'
    if isinstance(value, dict):
        return "map", _json(value)
    if isinstance(value, (list, tuple)):
        return "list", _json(value)
    raise _no_encoding(value)


def _any(type_name: str, text: str) -> Any:
    return Any(type_url=URL_PREFIX + type_name, value=_utf8(text))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid("a string holds half of a surrogate pair, which UTF-8 cannot carry") from None


def _json(value: object) -> str:
    try:
        return _dump(_plain(value, DEPTH_MAX))
    except ValueError as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid(f"an integer has more than {INTEGER_DIGITS_MAX} digits") from error


def _plain(value: object, depth: int) -> Value:
    """The value in terms of JSON's types, `depth` levels deep at most."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT_TAG: _special_name(value)}
    if depth == 0:
        raise Invalid(f"the value is nested more than {DEPTH_MAX} deep, or contains itself")
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return _plain_map(value, depth - 1)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {_BYTES_TAG: base64.b64encode(value).decode()}
    simplified = _simplified(value)
    if simplified is value:
        raise _no_encoding(value)
    return _plain(simplified, depth - 1)


def _plain_map(items: dict[Value, Value], depth: int) -> dict[str, Value]:
    plain: dict[str, Value] = {}
    for key, item in items.items():
        plain[_escaped(key if isinstance(key, str) else _key(key))] = _plain(item, depth)
    if len(plain) != len(items):
        raise Invalid("two keys of a map are the same text, for example 1 and '1'; use one kind of key")
    return plain


def _key(key: object) -> str:
    key = _simplified(key)
    if key is None or isinstance(key, (bool, int, float)):
        return "null" if key is None else _top(key)[1].strip('"')
    raise Invalid(f"a map's key is of type {type(key).__name__}; use strings or numbers")


def _escaped(key: str) -> str:
    if key.startswith(_OWN) and (key in (_FLOAT_TAG, _BYTES_TAG) or key.startswith(_ESCAPED)):
        return _ESCAPED + key[len(_OWN) :]
    return key


def _simplified(value: object) -> object:
    """Numpy's scalars and arrays as Python's; anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value).__module__ != "numpy":
        return value
    if isinstance(value, (numpy.generic, numpy.ndarray)):
        return value.tolist()
    return value


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:
        raise Invalid(f"an integer has more than {INTEGER_DIGITS_MAX} digits") from None


def _special_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _no_encoding(value: object) -> Invalid:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return Invalid(
        f"a value of type {kind} has no wire form; use None, bool, int, float, str, bytes, list, tuple, dict "
        "or a numpy array"
    )


# --- wire to Python ---------------------------------------------------------------------------------------


def decode(value: Any, binary: bytes | None = None) -> Value:
    """The Python value of an Any and, where there is one, the payload beside it.

    Reads every form that a Snakepit client or server has written, pickles and Erlang terms excepted. Raises
    Invalid (a ValueError) where the content contradicts the type.
    """
    url = value.type_url
    if not binary and url in _PLAIN_URLS:
        return _typed(_PLAIN_URLS[url], value.value)
    if not url and not value.value:
        return binary or None
    name = url.rpartition("/")[2]
    wrapper = _WRAPPERS.get(name)
    if wrapper is not None:
        return _wrapped(wrapper, value.value)
    if name == "google.protobuf.Value":
        return _struct_value(value.value)
    kind = name.rpartition(".")[2]
    if kind == "bytes":
        return binary if binary is not None else bytes(value.value)
    if is_array(value, binary):
        return _array(value.value, binary or b"")
    if binary:
        return binary
    return _typed(kind, value.value)


def decode_json(data: bytes) -> Value:
    """The value of JSON alone. Raises Invalid where it is none."""
    return _loads(_text(data))


def _typed(kind: str, data: bytes) -> Value:
    text = _text(data)
    if kind == "string":
        return _string(text)
    parsed = _loads(text)
    if kind == "float":
        return _float(parsed)
    if kind == "integer":
        return _whole(parsed)
    if kind == "boolean":
        return _boolean(parsed)
    return parsed


def _string(text: str) -> str:
    """Text under `string`: JSON as it should be, anything else as it stands."""
    try:
        parsed = _load(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, str) else text


def _float(parsed: Value) -> float:
    if isinstance(parsed, str) and parsed in _SPECIAL:
        return _SPECIAL[parsed]
    if isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
        try:
            return float(parsed)
        except OverflowError:
            raise Invalid("the integer is too large for a float") from None
    raise Invalid(f"the value says float and holds {_kind(parsed)}")


def _whole(parsed: Value) -> int:
    if isinstance(parsed, float) and parsed.is_integer():
        return int(parsed)
    if isinstance(parsed, int) and not isinstance(parsed, bool):
        return parsed
    raise Invalid(f"the value says integer and holds {_kind(parsed)}")


def _boolean(parsed: Value) -> bool:
    if isinstance(parsed, bool):
        return parsed
    if parsed in ("true", "false"):
        return bool(parsed == "true")
    raise Invalid(f"the value says boolean and holds {_kind(parsed)}")


def _wrapped(wrapper: type[Message], data: bytes) -> Value:
    """JSON under a wrapper's URL, as Snakepit writes it, or the packed wrapper.

    What parses as the wrapper and comes out the same is packed: no JSON that a writer makes begins with the
    byte of the wrapper's field.
    """
    message = wrapper()
    if not data or data[0] in _FIELD_ONE:
        try:
            message.ParseFromString(data)
            if message.SerializeToString() == data:
                return getattr(message, "value")  # noqa: B009
        except DecodeError:
            pass
    text = _text(data)
    return _string_or(text) if wrapper is wrappers_pb2.StringValue else _loads(text)


def _string_or(text: str) -> Value:
    """Any JSON under StringValue is its value; what is not JSON is itself."""
    try:
        return _loads(text)
    except Invalid:
        return text


def _struct_value(data: bytes) -> Value:
    try:
        return _loads(_text(data))
    except Invalid:
        message = StructValue()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            raise Invalid("a google.protobuf.Value is neither JSON nor packed") from error
        if message.WhichOneof("kind") == "number_value":
            return message.number_value
        return json.loads(MessageToJson(message))


def _array(metadata: bytes, payload: bytes) -> Value:
    """A large array as lists."""
    about = describe_array(metadata, payload)
    if about.kind == "list":
        return _arrays.nested(about, payload)
    flat = _arrays.elements(about, payload)
    return {"shape": list(about.shape), "data": flat} if about.kind == "tensor" else flat


def describe_array(metadata: bytes, payload: bytes) -> _arrays.Description:
    """What the JSON beside an array's payload says. Raises Invalid where it is not a raw array."""
    form = binary_format(metadata)
    if form.get("binary_format") != "raw":
        shown = form.get("binary_format")
        raise Invalid(f"binary format {shown!r} is not read here, for reading it can run code; send 'raw'")
    return _arrays.describe(form, len(payload))


def binary_format(metadata: bytes) -> dict[str, Value]:
    """The JSON beside a payload. Raises Invalid where it is no object."""
    about = _loads(_text(metadata))
    if not isinstance(about, dict):
        raise Invalid("a binary value's description is not a JSON object")
    return about


def is_array(value: Any, binary: bytes | None) -> bool:
    """Whether an Any describes a payload of elements, and is no value by itself."""
    return value.type_url.endswith(".binary") or bool(
        binary and value.value.startswith(b"{") and b'"binary_format"' in value.value
    )


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Invalid("a value is not UTF-8") from error


def _loads(text: str) -> Value:
    try:
        return json.loads(text, object_hook=_untagged) if _OWN in text else _load(text)
    except RecursionError:
        raise Invalid("a value is nested too deep") from None
    except ValueError as error:
        raise Invalid(f"a value is not JSON: {error}") from error


def _load(text: str) -> Value:
    """As `json.loads`; most texts have no space around, and need not be searched for it."""
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)


def _untagged(found: dict[str, Value]) -> Value:
    if len(found) == 1:
        key, inner = next(iter(found.items()))
        if key == _FLOAT_TAG and isinstance(inner, str) and inner in _SPECIAL:
            return _SPECIAL[inner]
        if key == _BYTES_TAG and isinstance(inner, str):
            try:
                return base64.b64decode(inner, validate=True)
            except binascii.Error:
                return found
    if any(key.startswith(_ESCAPED) for key in found):
        return {_OWN + k[len(_ESCAPED) :] if k.startswith(_ESCAPED) else k: v for k, v in found.items()}
    return found


def _kind(parsed: Value) -> str:
    return "null" if parsed is None else f"a {type(parsed).__name__}"
