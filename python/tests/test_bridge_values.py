"""Types, serialization, pickles and the old forms of results."""

from __future__ import annotations

import datetime
import math
import pickle
from collections import namedtuple
from decimal import Decimal
from typing import Any

import numpy
import pytest
from google.protobuf.any_pb2 import Any as WireAny

from snakepit.errors import Invalid
from snakepit_bridge import TypeValidator, VariableType, ZeroCopyRef, _legacy, _pickles, _wire
from snakepit_bridge.serialization import TypeSerializer, encode_result, redact, to_plain
from snakepit_bridge.types import deserialize_value, serialize_value, validate_constraints

Point = namedtuple("Point", "x y")


def test_types_have_their_names_on_the_wire() -> None:
    assert {kind.name.lower() for kind in VariableType} == {kind.to_proto() for kind in VariableType}
    assert VariableType.from_proto("map") is VariableType.MAP
    with pytest.raises(ValueError, match="Unknown type: foo"):
        VariableType.from_proto("foo")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"), (True, "boolean"), (1, "integer"), (1.0, "float"), ("", "string"), ({}, "map"),
        ([], "list"), ((), "list"), (b"", "bytes"), (numpy.ones(2), "tensor"), (numpy.int64(1), "integer"),
    ],
)  # fmt: skip
def test_types_are_inferred(value: Any, kind: str) -> None:
    assert TypeValidator.infer_type(value).value == kind


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", True), ("integer", 1.5), ("integer", "x"), ("float", "x"), ("float", []), ("boolean", 2),
        ("embedding", "abc"), ("embedding", ["1"]), ("embedding", numpy.ones((2, 2))), ("map", []),
        ("list", "abc"), ("null", 0), ("bytes", "x"), ("tensor", {"shape": [3], "data": [1]}),
        ("tensor", [[1], [1, 2]]), ("tensor", 5), ("string", None),
    ],
)  # fmt: skip
def test_values_are_refused(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"must|cannot|doesn't"):
        TypeValidator.validate(value, kind)


def test_constraints_in_the_old_words() -> None:
    validate_constraints(math.nan, "float", {"max": 1})
    validate_constraints("abc", "string", {"pattern": "b", "enum": ["abc"]})
    for value, kind, constraints, words in (
        (2, VariableType.INTEGER, {"max": 1}, "above maximum 1"),
        (0.5, "float", {"min": 1}, "below minimum 1"),
        ("a", "string", {"min_length": 2}, "String too short: 1 < 2"),
        ("abc", "string", {"max_length": 2}, "String too long: 3 > 2"),
        ("abc", "string", {"pattern": "x"}, "match pattern: x"),
        ("abc", "choice", {"choices": ["x"]}, "must be one of"),
    ):
        with pytest.raises(ValueError, match=words):
            TypeSerializer.validate_constraints(value, kind, constraints)


def test_values_go_and_come() -> None:
    assert deserialize_value(serialize_value("5", VariableType.INTEGER)) == 5
    assert deserialize_value(serialize_value(5, "integer"), "string") == "5"
    encoded, payload = TypeSerializer.encode_any([[0.5] * 2] * 1000, VariableType.TENSOR)
    assert payload is not None
    assert TypeSerializer.decode_any(encoded, payload)["shape"] == [1000, 2]
    whole, payload = TypeSerializer.encode_any({"shape": [2000], "data": list(range(2000))}, "tensor")
    assert TypeSerializer.decode_any(whole, payload)["data"] == list(range(2000))
    huge, none = TypeSerializer.encode_any({"shape": [2000], "data": [2**70] * 2000}, "tensor")
    assert none is None
    assert TypeSerializer.decode_any(huge)["data"][0] == 2**70


# --- pickles ---


def _pickled(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
    return pickle.dumps(value, protocol)


def test_pickles_are_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    description = b'{"type": "embedding", "shape": [2], "dtype": "float32", "binary_format": "pickle"}'
    value = WireAny(type_url="type.googleapis.com/snakepit.embedding.binary", value=description)
    monkeypatch.delenv(_pickles.ALLOW, raising=False)
    with pytest.raises(Invalid, match="SNAKEPIT_ALLOW_PICKLE"):
        TypeSerializer.decode_any(value, _pickled([1.0, 2.0]))
    monkeypatch.setenv(_pickles.ALLOW, "1")
    assert TypeSerializer.decode_any(value, _pickled([1.0, 2.0])) == [1.0, 2.0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_numbers_are_read(monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.setenv(_pickles.ALLOW, "1")
    shared = [1, 2]
    value = [
        1,
        -5,
        300,
        70000,
        2**40,
        2**90,
        1.5,
        math.inf,
        True,
        [],
        (),
        (1,),
        (1, 2),
        (1, 2, 3, 4),
        shared,
        shared,
    ]
    expected = [list(item) if isinstance(item, tuple) else item for item in value]
    assert _pickles.loads(_pickled(value, protocol)) == expected
    assert _pickles.loads(_pickled([float(n) for n in range(3000)], protocol))[2999] == 2999.0


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_other_pickles_run_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(_pickles.ALLOW, "1")
    itself: list[Any] = []
    itself.append(itself)
    wide: list[Any] = [1]
    for _ in range(40):
        wide = [wide, wide]
    for value in (Evil(), [Evil()], "text", {"a": 1}, None, b"x", {1}, Decimal(1), itself, wide):
        with pytest.raises(Invalid):
            _pickles.loads(_pickled(value))
    # A memo index of two billion, a length beyond the data, nothing at all.
    for data in (
        b"\x80\x04r\xff\xff\xff\x7f.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"",
        b".",
        b"(",
        b"K\x01a.",
    ):
        with pytest.raises(Invalid):
            _pickles.loads(data)
    assert capsys.readouterr().out == ""


# --- objects in results ---


class Dumped:
    def model_dump(self) -> Any:
        return {"a": Listed()}

    def to_dict(self) -> Any:
        raise AssertionError


class Listed:
    def tolist(self) -> Any:
        return [1, 2]


class Broken:
    def to_dict(self) -> Any:
        raise RuntimeError

    def __repr__(self) -> str:
        return "Broken(api_key='sk-abcdefghijkl', note='fine')"


def test_objects_become_what_they_say() -> None:
    value = {"d": Dumped(), "p": Point(1, 2), "t": datetime.date(2024, 1, 2), "n": numpy.arange(3), "s": (1,)}
    assert to_plain(value) == {
        "d": {"a": [1, 2]}, "p": {"x": 1, "y": 2}, "t": "2024-01-02", "n": [0, 1, 2], "s": [1],
    }  # fmt: skip
    assert to_plain(Broken()) == {
        "__ffi_unserializable__": True,
        "__type__": "tests.test_bridge_values.Broken",
    }


def test_large_arrays_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEPIT_TOLIST_MAX_ELEMENTS", "3")
    assert to_plain([numpy.arange(3)]) == [[0, 1, 2]]
    assert to_plain([numpy.arange(4)])[0]["__type__"] == "numpy.ndarray"


def test_marks_tell_as_much_as_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEPIT_UNSERIALIZABLE_DETAIL", "repr_truncated")
    assert "sk-abcdefghijkl" in to_plain(Broken())["__repr__"]
    monkeypatch.setenv("SNAKEPIT_UNSERIALIZABLE_DETAIL", "repr_redacted_truncated")
    assert to_plain(Broken())["__repr__"] == "Broken(api_key=***, note='fine')"
    monkeypatch.setenv("SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN", "6")
    assert to_plain(Broken())["__repr__"] == "Broken"


def test_secrets_go() -> None:
    text = redact("Authorization: Bearer abc.def-1 key sk-1234567890 password=hunter2, token: 'x y' ok=1")
    assert text == "Authorization: Bearer *** key sk-*** password=***, token: *** ok=1"


def test_what_holds_itself_is_refused() -> None:
    value: list[Any] = [Point(1, 2)]
    value.append(value)
    with pytest.raises(Invalid, match="contains itself"):
        encode_result(value)


def test_zero_copy_references() -> None:
    wire = {"__snakepit_zero_copy__": True, "kind": "tensor", "shape": [2, 3], "ref": "r1", "more": 1}
    found = ZeroCopyRef.from_dict(wire)
    assert (found.kind, found.shape, found.ref, found.metadata) == ("tensor", (2, 3), "r1", {"more": 1})
    assert found.to_dict() == wire
    assert to_plain({"x": found}) == {"x": wire}
    with pytest.raises(ValueError, match="no zero-copy"):
        ZeroCopyRef.from_dict({})


# --- old forms ---


@pytest.mark.parametrize(
    ("generation", "value", "kind", "text"),
    [
        ("0.4", None, "string", b'"None"'),
        ("0.4", True, "boolean", b"true"),
        ("0.4", 5, "integer", b"5"),
        ("0.4", 1.5, "float", b"1.5"),
        ("0.4", math.nan, "float", b'"NaN"'),
        ("0.4", "\u00e4", "string", b'"\\u00e4"'),
        ("0.4", (1, 2), "string", b'"(1, 2)"'),
        ("0.4", b"x", "string", b"\"b'x'\""),
        ("0.4", {"a": math.nan}, "map", b'{"a": NaN}'),
        ("0.4", [1, 2], "list", b"[1, 2]"),
        ("0.13", None, "string", b'"None"'),
        ("0.13", 5, "float", b"5.0"),
        ("0.13", "\u00e4", "string", '"\u00e4"'.encode()),
        ("0.13", {"a": [math.nan, 1]}, "map", b'{"a":[null,1]}'),
        ("0.13", iter(()), "map", b'{"error":"Streaming tool called on non-streaming endpoint."}'),
        ("0.13", [datetime.date(2024, 1, 2)], "list", b'["2024-01-02"]'),
    ],
)
def test_old_forms(generation: str, value: Any, kind: str, text: bytes) -> None:
    encoded = _legacy.encode(value, generation)
    assert (encoded.type_url, encoded.value) == (f"type.googleapis.com/snakepit.{kind}", text)


def test_the_generation_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_legacy.ENVIRONMENT, "0.5")
    with pytest.raises(Invalid, match=r"'0\.4', '0\.13'"):
        _legacy.chosen()


def test_results_that_are_arrays_are_raw_for_nodes_alone() -> None:
    from snakepit_bridge._seam import Seam

    value = numpy.ones((1, 2), "float32")
    encoded, payload = Seam(object()).encode(value)
    assert (encoded.type_url, payload) == ("type.googleapis.com/snakepit.list.binary", value.tobytes())
    # What adapters of Snakepit's kind read is lists, as ever.
    assert _wire.decode(encoded, payload) == [[1.0, 1.0]]
    encoded, payload = Seam(object(), raw_arrays=False).encode(value)
    assert (encoded.type_url, encoded.value, payload) == (
        "type.googleapis.com/snakepit.list",
        b"[[1.0,1.0]]",
        None,
    )
