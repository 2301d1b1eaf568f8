r"""Exported sessions as documents: plain JSON, the same that ``snakepit session export`` writes.

A document is `snakepit.session.v1.SessionExport` as JSON: field names as in the schema, times as RFC 3339
text, whole numbers as JSON numbers, fields that are empty left out. Only the values of variables and programs
look different, for they are no packed messages: each is

::

    {"type": "float", "json": 2.5}
    {"type": "bytes", "binary": "AAE="}
    {"type": "tensor.binary",
     "json": {"type": "tensor", "dtype": "float32", "shape": [1], "binary_format": "raw"},
     "binary": "AACAPw=="}

`type` is what stands in the type URL behind ``type.googleapis.com/snakepit.``, `json` the JSON beside it,
absent where there is none, and `binary` the payload in base64 (with padding), absent where there is none.
The whole:

::

    {"format": 1, "session_id": "s", "metadata": {"team": "a"}, "config": {"ttl_seconds": 3600},
     "created_at": "2026-01-31T12:00:00.123Z",
     "variables": [{"id": "var_x_1", "name": "x", "type": "float", "value": {"type": "float", "json": 2.5},
                    "constraints_json": "{\"min\":0}", "version": 2}],
     "programs": [{"program_id": "p", "value": {"type": "map", "json": {"a": 1}}, "version": 1}],
     "revision": 7}
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from snakepit import _values
from snakepit._proto import session_v1_pb2 as pb
from snakepit.errors import Invalid

FORMAT: Final = 1
Document = dict[str, Any]

_HOLDERS: Final = ("variables", "programs")


def render(export: pb.SessionExport) -> Document:
    """The document of an export. Raises Invalid where a value in it is not JSON."""
    bare = pb.SessionExport()
    bare.CopyFrom(export)
    for holder in (*bare.variables, *bare.programs):
        holder.ClearField("value")
        holder.ClearField("binary_value")
    document: Document = MessageToDict(bare, preserving_proto_field_name=True)
    # The mapping of protobuf writes 64 bits as text, for the sake of JavaScript.
    for number in ("revision", "position"):
        if number in document:
            document[number] = getattr(export, number)
    if "ttl_seconds" in document.get("config", {}):
        document["config"]["ttl_seconds"] = export.config.ttl_seconds
    for key in _HOLDERS:
        for holder, rendered in zip(getattr(export, key), document.get(key, ()), strict=True):
            rendered["value"] = _render_value(holder.value, holder.binary_value)
    return document


def parse(document: Document) -> pb.SessionExport:
    """The export in a document. Raises Invalid where it is none, or one of a later release."""
    if not isinstance(document, dict):
        raise Invalid("an exported session is a JSON object")
    if document.get("format") != FORMAT:
        raise Invalid(
            f"format {document.get('format')!r} of an exported session is not known here",
            hint=f"this release reads format {FORMAT}",
        )
    bare = dict(document)
    try:
        for key in _HOLDERS:
            if key in bare:
                bare[key] = [{k: v for k, v in holder.items() if k != "value"} for holder in bare[key]]
        export = ParseDict(bare, pb.SessionExport())
        for key in _HOLDERS:
            for holder, given in zip(getattr(export, key), document.get(key, ()), strict=True):
                if "value" in given:
                    _parse_value(given["value"], holder)
    except (ParseError, AttributeError, TypeError) as error:
        raise Invalid(f"not an exported session: {error}") from error
    return export


def write_document(document: Document, path: str | os.PathLike[str]) -> None:
    """Write an exported session to a file, whole or not at all."""
    target = Path(path)
    draft = target.with_name(f"{target.name}.new")
    draft.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    draft.replace(target)


def read_document(path: str | os.PathLike[str]) -> Document:
    """The exported session in a file. Raises Invalid where it is not JSON."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid(f"{os.fspath(path)} is no exported session: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"{os.fspath(path)} is no exported session: it holds no object")
    return found


def _render_value(value: AnyMessage, payload: bytes) -> Document:
    kind = value.type_url.removeprefix(_values.URL_PREFIX)
    rendered: Document = {"type": kind}
    if value.value:
        try:
            rendered["json"] = json.loads(value.value)
        except ValueError as error:
            raise Invalid(f"a value of type {kind} is not JSON: {error}") from error
    if payload or kind == "bytes":
        rendered["binary"] = base64.b64encode(payload).decode()
    return rendered


def _parse_value(given: Any, holder: Any) -> None:
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        raise Invalid("a value of an exported session has no type")
    holder.value.type_url = _values.URL_PREFIX + given["type"]
    if "json" in given:
        text = json.dumps(given["json"], ensure_ascii=False, separators=(",", ":"))
        holder.value.value = text.encode()
    try:
        holder.binary_value = base64.b64decode(given.get("binary", ""), validate=True)
    except binascii.Error as error:
        raise Invalid(f"the payload of a value is not base64: {error}") from error
