"""Values on the wire: round trips by property, and every old form by example."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from typing import Any as Value

import numpy as np
import pytest
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from snakepit import _values
from snakepit.errors import Invalid

KEYS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["__snakepit_float__", "__snakepit_bytes__", "__snakepit_=", "__snakepit_=float__", "__snakepit_other"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**400)
    | st.floats()
    | KEYS
    | st.binary()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=30)


def same(a: Value, b: Value) -> bool:
    """Equality that tells 1 from 1.0 and from True, -0.0 from 0.0, and takes NaN for NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


def packed(url: str, value: bytes) -> Any:
    return Any(type_url=f"type.googleapis.com/{url}", value=value)


@given(VALUES)
def test_every_value_comes_back(value: Value) -> None:
    encoded, payload = _values.encode(value)
    sent = Any.FromString(encoded.SerializeToString())
    assert same(_values.decode(sent, payload), value)
    if payload is None:
        # Plain JSON, for readers in other languages: no bare NaN.
        json.loads(encoded.value, parse_constant=pytest.fail)


@given(VALUES)
def test_every_chunk_comes_back(value: Value) -> None:
    assert same(_values.decode_json(_values.encode_json(value)), value)


@given(st.binary(), st.sampled_from(["string", "float", "list", "tensor.binary", "bytes"]), st.binary())
def test_no_bytes_crash_the_reader(data: bytes, kind: str, payload: bytes) -> None:
    with contextlib.suppress(Invalid):
        _values.decode(packed(f"snakepit.{kind}", data), payload)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_strings_are_read_in_both_forms_of_snakepit(text: str) -> None:
    wrapper = wrappers_pb2.StringValue(value=text).SerializeToString()
    assert _values.decode(packed("google.protobuf.StringValue", wrapper)) == text
    assert _values.decode(packed("google.protobuf.StringValue", json.dumps(text).encode())) == text


@pytest.mark.parametrize(
    ("value", "type_name", "text"),
    [
        (None, "null", "null"),
        (True, "boolean", "true"),
        (5, "integer", "5"),
        (2**70, "integer", str(2**70)),
        (5.0, "float", "5.0"),
        (math.nan, "float", '"NaN"'),
        (-math.inf, "float", '"-Infinity"'),
        ("NaN", "string", '"NaN"'),
        ("ä", "string", '"ä"'),
        ((1, 2), "list", "[1,2]"),
        (
            {"a": math.inf, "b": b"\0"},
            "map",
            '{"a":{"__snakepit_float__":"Infinity"},"b":{"__snakepit_bytes__":"AA=="}}',
        ),
        ({1: 2, None: 3}, "map", '{"1":2,"null":3}'),
        ({"__snakepit_float__": "NaN"}, "map", '{"__snakepit_=float__":"NaN"}'),
        (np.float64(1.0), "float", "1.0"),
        (np.int64(3), "integer", "3"),
        (np.bool_(True), "boolean", "true"),
        (np.arange(4).reshape(2, 2), "list", "[[0,1],[2,3]]"),
        (
            {"x": np.float32(0.5), "y": np.array([math.nan])},
            "map",
            '{"x":0.5,"y":[{"__snakepit_float__":"NaN"}]}',
        ),
    ],
)
def test_the_written_form(value: Value, type_name: str, text: str) -> None:
    encoded, payload = _values.encode(value)
    assert (encoded.type_url, encoded.value.decode()) == (f"type.googleapis.com/snakepit.{type_name}", text)
    assert payload is None


def test_bytes_travel_beside() -> None:
    encoded, payload = _values.encode(bytearray(b"\0\1"))
    assert (encoded.type_url, encoded.value, payload) == ("type.googleapis.com/snakepit.bytes", b"", b"\0\1")
    assert _values.decode(encoded, b"") == b""


def _cycle() -> list[Value]:
    cycle: list[Value] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        1j,
        _cycle(),
        {1: "a", "1": "b"},
        {(1, 2): 3},
        "\ud800",
        ["\ud800"],
        10**5000,
        [10**5000],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_wire_form_is_refused(value: Value) -> None:
    with pytest.raises(Invalid):
        _values.encode(value)


@pytest.mark.parametrize(
    ("sent", "payload", "value"),
    [
        (Any(type_url="dspex.variables/integer", value=b"5"), None, 5),
        (packed("snakepit.integer", b"5.0"), None, 5),
        (packed("snakepit.float", b"5"), None, 5.0),
        (packed("snakepit.float", b'"Infinity"'), None, math.inf),
        (packed("snakepit.boolean", b'"true"'), None, True),
        (packed("snakepit.string", b"not json"), None, "not json"),
        (packed("snakepit.choice", b'"a"'), None, "a"),
        (packed("snakepit.embedding", b"[1,2.5]"), None, [1, 2.5]),
        (packed("snakepit.tensor", b'{"shape":[1],"data":[1.0]}'), None, {"shape": [1], "data": [1.0]}),
        (packed("other.package.thing", b'{"a":1}'), None, {"a": 1}),
        (packed("google.protobuf.StringValue", b'{"a":[1]}'), None, {"a": [1]}),
        (packed("google.protobuf.StringValue", b"51234"), None, 51234),
        (packed("google.protobuf.StringValue", b""), None, ""),
        (packed("google.protobuf.StringValue", b"plain text"), None, "plain text"),
        (packed("google.protobuf.Value", b"2.5"), None, 2.5),
        (packed("google.protobuf.Value", b"true"), None, True),
        (packed("google.protobuf.Value", struct_pb2.Value(number_value=2).SerializeToString()), None, 2.0),
        (packed("google.protobuf.Value", struct_pb2.Value(bool_value=True).SerializeToString()), None, True),
        (
            packed("google.protobuf.BoolValue", wrappers_pb2.BoolValue(value=True).SerializeToString()),
            None,
            True,
        ),
        (packed("google.protobuf.BoolValue", b""), None, False),
        (
            packed("google.protobuf.DoubleValue", wrappers_pb2.DoubleValue(value=1.5).SerializeToString()),
            None,
            1.5,
        ),
        (
            packed("google.protobuf.Int64Value", wrappers_pb2.Int64Value(value=-7).SerializeToString()),
            None,
            -7,
        ),
        (Any(), b"raw", b"raw"),
        (Any(), None, None),
        (
            packed(
                "snakepit.embedding.binary",
                b'{"shape":[2],"dtype":"float32","binary_format":"raw","type":"embedding"}',
            ),
            struct.pack("<2f", 1.0, 2.5),
            [1.0, 2.5],
        ),
        (
            packed(
                "snakepit.tensor.binary",
                b'{"shape":[1,2],"dtype":"int64","binary_format":"raw","type":"tensor"}',
            ),
            struct.pack("<2q", 1, -2),
            {"shape": [1, 2], "data": [1, -2]},
        ),
    ],
)
def test_old_forms_are_read(sent: Any, payload: bytes | None, value: Value) -> None:
    assert same(_values.decode(sent, payload), value)


@pytest.mark.parametrize(
    ("sent", "payload"),
    [
        (packed("snakepit.integer", b"5.5"), None),
        (packed("snakepit.integer", b"true"), None),
        (packed("snakepit.float", b'"five"'), None),
        (packed("snakepit.boolean", b"1"), None),
        (packed("snakepit.map", b"{"), None),
        (packed("snakepit.map", b"\xff"), None),
        (packed("snakepit.list", b"[" * 100_000), None),
        (packed("snakepit.tensor.binary", b'{"shape":[1],"dtype":"float32","binary_format":"pickle"}'), b"x"),
        (packed("snakepit.tensor.binary", b'{"shape":[3],"dtype":"float32","binary_format":"raw"}'), b"x"),
        (packed("snakepit.tensor.binary", b'{"shape":[3],"dtype":"text","binary_format":"raw"}'), b"x"),
        (packed("snakepit.tensor.binary", b"[]"), b"x"),
    ],
)
def test_contradictions_are_refused(sent: Any, payload: bytes | None) -> None:
    with pytest.raises(Invalid):
        _values.decode(sent, payload)
