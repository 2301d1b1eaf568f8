"""Protobuf's encoding, read strictly: what the schema does not know is a fault."""

from __future__ import annotations

from struct import unpack_from
from typing import Any, Final, NamedTuple

# How a field is encoded. From TEXT on its length stands in front.
UINT64: Final = 0
UINT32: Final = 1
SINT64: Final = 2
BOOL: Final = 3
DOUBLE: Final = 4
TEXT: Final = 5
BYTES: Final = 6
MESSAGE: Final = 7
MAP: Final = 8
MANY_BYTES: Final = 9
MANY_MESSAGES: Final = 10
MANY_UINT64: Final = 11

WIRE_TYPES: Final = {UINT64: 0, UINT32: 0, SINT64: 0, BOOL: 0, DOUBLE: 1}

Fields = dict[str, Any]
# How it is encoded, its key, its name where the key is its oneof's, the shape of what is in it.
Entry = tuple[int, str, str | None, Any]


class Damaged(ValueError):
    """Bytes that are no message of the schema."""


class Shape(NamedTuple):
    """A message: its fields by their tags, and their defaults."""

    name: str
    table: dict[int, Entry]
    defaults: Fields


def decode(shape: Shape, data: bytes) -> Fields:
    """All fields of a message, those that are not there with their defaults. Raises Damaged."""
    try:
        return _read(shape, data, 0, len(data))
    except IndexError:
        raise Damaged(f"{shape.name} ends in the middle of a field") from None
    except UnicodeDecodeError:
        raise Damaged(f"a text in {shape.name} is not UTF-8") from None


# In one piece: calls would cost half of the time.
def _read(shape: Shape, data: bytes, at: int, end: int) -> Fields:  # noqa: PLR0912
    fields: Fields = {}
    table = shape.table
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        if tag not in table:
            raise Damaged(_unknown(shape, tag))
        form, key, member, part = table[tag]
        value: Any
        if form >= TEXT:
            size = data[at]
            at += 1
            if size > 127:
                size, at = _varint(data, at - 1)
            start = at
            at += size
            if at > end:
                raise Damaged(f"{shape.name}.{key} is cut off")
            if form == TEXT:
                value = data[start:at].decode()
            elif form == MESSAGE:
                value = _read(part, data, start, at)
            elif form == BYTES:
                value = data[start:at]
            else:
                value = _gathered(shape, fields.pop(key, None), (form, key, member, part), data[start:at])
        elif form == DOUBLE:
            if at + 8 > end:
                raise Damaged(f"{shape.name}.{key} is cut off")
            value = unpack_from("<d", data, at)[0]
            at += 8
        else:
            value = data[at]
            at += 1
            if value > 127:
                value, at = _varint(data, at - 1)
            if form != UINT64:
                value = _narrowed(shape, key, form, value)
        if key in fields:
            raise Damaged(f"{shape.name}.{key} stands twice")
        fields[key] = value if member is None else (member, value)
    if at != end:
        raise Damaged(f"{shape.name} ends in the middle of a field")
    defaults = shape.defaults
    return fields if len(fields) == len(defaults) else {**defaults, **fields}


def _gathered(shape: Shape, so_far: Any, entry: Entry, data: bytes) -> Any:
    """A field that may stand several times, with one more of it."""
    form, key, _, part = entry
    if form == MAP:
        gathered = {} if so_far is None else so_far
        item = _read(part, data, 0, len(data))
        if item["key"] in gathered:
            raise Damaged(f"a key of {shape.name}.{key} stands twice")
        gathered[item["key"]] = item["value"]
        return gathered
    many = [] if so_far is None else so_far
    if form == MANY_BYTES:
        many.append(data)
    elif form == MANY_MESSAGES:
        many.append(_read(part, data, 0, len(data)))
    else:
        at = 0
        while at < len(data):
            number, at = _varint(data, at)
            many.append(number)
    return many


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Damaged("a number has more than 10 bytes")
    if value >> 64:
        raise Damaged("a number has more than 64 bits")
    return value, at


def _narrowed(shape: Shape, key: str, form: int, value: int) -> int | bool:
    if form == SINT64:
        return (value >> 1) ^ -(value & 1)
    if value >> (1 if form == BOOL else 32):
        raise Damaged(f"{shape.name}.{key} is {value}, which its type does not hold")
    return bool(value) if form == BOOL else value


def _unknown(shape: Shape, tag: int) -> str:
    field, wire_type = tag >> 3, tag & 7
    known = next((entry[1] for of, entry in shape.table.items() if of >> 3 == field), None)
    if known is None:
        return f"{shape.name} has an unknown field {field}"
    return f"{shape.name}.{known} has the wire type {wire_type}"
