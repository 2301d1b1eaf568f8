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


class Damaged(ValueError):
    """Bytes that are no message of the schema."""


class Shape(NamedTuple):
    """A message: its fields by their tags (form, key, member of the oneof `key`, shape), and their defaults."""

    name: str
    table: dict[int, tuple[int, str, str | None, Any]]
    defaults: Fields


def decode(shape: Shape, data: bytes) -> Fields:
    """All fields of a message, those that are not there with their defaults. Raises Damaged."""
    try:
        return _read(shape, data, 0, len(data))
    except IndexError:
        raise Damaged(f"{shape.name} ends in the middle of a field") from None
    except UnicodeDecodeError:
        raise Damaged(f"a text in {shape.name} is not UTF-8") from None


def _read(shape: Shape, data: bytes, at: int, end: int) -> Fields:
    fields: Fields = {}
    table = shape.table
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        entry = table.get(tag)
        if entry is None:
            raise Damaged(_unknown(shape, tag))
        form, key, member, part = entry
        value: Any
        if form >= TEXT:
            size = data[at]
            at += 1
            if size > 127:
                size, at = _varint(data, at - 1)
            stop = at + size
            if stop > end:
                raise Damaged(f"{shape.name}.{key} is cut off")
            if form == TEXT:
                value = data[at:stop].decode()
            elif form == MESSAGE:
                value = _read(part, data, at, stop)
            elif form == BYTES:
                value = data[at:stop]
            else:
                value = _gathered(shape, fields.pop(key, None), entry, data, at, stop)
            at = stop
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


def _gathered(
    shape: Shape, so_far: Any, entry: tuple[int, str, str | None, Any], data: bytes, at: int, stop: int
) -> Any:
    """A field that may stand several times, with one more of it."""
    form, key, _, part = entry
    if form == MAP:
        gathered = {} if so_far is None else so_far
        item = _read(part, data, at, stop)
        if item["key"] in gathered:
            raise Damaged(f"a key of {shape.name}.{key} stands twice")
        gathered[item["key"]] = item["value"]
        return gathered
    many = [] if so_far is None else so_far
    if form == MANY_BYTES:
        many.append(data[at:stop])
    elif form == MANY_MESSAGES:
        many.append(_read(part, data, at, stop))
    else:
        while at < stop:
            number, at = _varint(data, at)
            many.append(number)
        if at != stop:
            raise Damaged(f"{shape.name}.{key} ends in the middle of a number")
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
