"""Arrays as values of variables: raw on the wire, bit-exact, and pickles without power."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from array import array
from collections.abc import Iterator
from typing import Any as Value

import numpy as np
import pytest
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

import snakepit
from snakepit import _arrays, _tool_values, _values
from snakepit._codec import Codec
from snakepit.errors import Invalid
from tests.fake_node import FakeNode

CODEC = Codec()
SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@pytest.fixture
def session(node: FakeNode) -> Iterator[snakepit.Session]:
    with snakepit.connect(f"unix:{node.socket}") as client:
        yield client.create_session("s2")


@given(st.sampled_from(sorted(_arrays.DTYPES)), SHAPES, st.data(), st.booleans(), st.booleans())
def test_every_array_comes_back_bit_by_bit(
    dtype: str, shape: list[int], data: st.DataObject, big_endian: bool, transposed: bool
) -> None:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    content = data.draw(st.binary(min_size=size, max_size=size))
    if dtype == "bool":
        content = bytes(byte & 1 for byte in content)
    value = np.frombuffer(content, dtype).reshape(shape)
    if big_endian:
        # By its bytes: a conversion by value could quiet a NaN.
        value = value.byteswap().view(value.dtype.newbyteorder(">"))
    if transposed:
        value = value.T
    encoded, payload = CODEC.encode(value)
    back = CODEC.decode(Any.FromString(encoded.SerializeToString()), payload)
    assert (back.dtype.name, back.shape, back.flags.writeable) == (dtype, value.shape, False)
    expected = value.byteswap().view(value.dtype.newbyteorder("<")) if big_endian else value
    assert back.tobytes() == expected.tobytes()


def test_the_form_on_the_wire() -> None:
    value = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    encoded, payload = CODEC.encode(value)
    assert encoded.type_url == "type.googleapis.com/snakepit.tensor.binary"
    about = {"type": "tensor", "dtype": "float32", "shape": [2, 3], "binary_format": "raw"}
    assert json.loads(encoded.value) == about
    assert payload == value.tobytes()
    encoded, _ = CODEC.encode(np.array([1.0]), "embedding")
    assert encoded.type_url == "type.googleapis.com/snakepit.embedding.binary"


@pytest.mark.parametrize(
    ("value", "dtype", "back"),
    [
        (array("d", [1.5, 2.5]), "float64", [1.5, 2.5]),
        (array("l", [1, -2]), "int64", [1, -2]),
        (array("B", b"ab"), "uint8", [97, 98]),
        (memoryview(array("f", [0.5])), "float32", [0.5]),
        (memoryview(bytes(range(6))).cast("B", (2, 3)), "uint8", [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_arrays_of_the_standard_library(value: Value, dtype: str, back: Value) -> None:
    read = CODEC.decode(*CODEC.encode(value))
    assert (read.dtype.name, read.tolist()) == (dtype, back)


def test_what_is_no_array_of_numbers_is_what_it_was() -> None:
    assert CODEC.decode(*CODEC.encode(np.float32(0.5))) == 0.5
    assert CODEC.decode(*CODEC.encode(np.array(3))) == 3
    assert CODEC.decode(*CODEC.encode(np.array(["a", "b"]))) == ["a", "b"]
    assert CODEC.decode(*CODEC.encode(memoryview(b"ab"))) == b"ab"
    assert CODEC.decode(*CODEC.encode({"x": np.arange(2)})) == {"x": [0, 1]}
    assert CODEC.decode(*CODEC.encode(np.arange(2), "list")) == [0, 1]
    # What is not told apart is lists.
    assert _values.decode(*_values.encode(np.arange(2))) == [0, 1]


def test_a_tensor_of_lists() -> None:
    encoded, payload = CODEC.encode([[1, 2], [3, 4]], "tensor")
    assert json.loads(encoded.value) == {"shape": [2, 2], "data": [[1, 2], [3, 4]]}
    assert (encoded.type_url, payload) == ("type.googleapis.com/snakepit.tensor", None)
    with pytest.raises(Invalid, match="one length"):
        CODEC.encode([[1], [2, 3]], "tensor")


@given(st.sampled_from(sorted(_arrays.DTYPES)), SHAPES, st.data())
def test_tools_take_and_give_arrays(dtype: str, shape: list[int], data: st.DataObject) -> None:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    content = data.draw(st.binary(min_size=size, max_size=size))
    if dtype == "bool":
        content = bytes(byte & 1 for byte in content)
    value = np.frombuffer(content, dtype).reshape(shape)
    encoded, payload = _tool_values.encode(value)
    assert encoded.type_url.endswith("snakepit.list.binary")
    back = _tool_values.decode(encoded, payload)
    assert (back.dtype.name, back.shape, back.tobytes()) == (dtype, value.shape, content)
    # To whom it is no array it is what numpy makes of it.
    listed = _tool_values.decode(encoded, payload, as_lists=True)
    assert repr(listed) == repr(value.tolist())
    assert repr(_values.decode(encoded, payload)) == repr(value.tolist())


def test_what_tools_take_beside_arrays_is_what_it_was() -> None:
    for value in (None, 1, "a", [1, [2]], {"a": 1.5}, b"ab"):
        assert _tool_values.decode(*_tool_values.encode(value)) == value
    assert _tool_values.decode(*_tool_values.encode(memoryview(b"ab"))) == b"ab"
    assert _tool_values.decode(*_tool_values.encode(array("d", [0.5]))).dtype == np.float64
    assert _tool_values.decode(*_tool_values.encode(np.float32(0.5))) == 0.5
    assert _tool_values.decode(*_tool_values.encode(np.array(["a"]))) == ["a"]
    about = {"type": "list", "dtype": "int8", "shape": [10**9, 0], "binary_format": "raw"}
    endless = Any(type_url="type.googleapis.com/snakepit.list.binary", value=json.dumps(about).encode())
    with pytest.raises(Invalid, match="lists"):
        _tool_values.decode(endless, as_lists=True)


def test_variables_hold_arrays(session: snakepit.Session) -> None:
    value = np.linspace(0, 1, 5, dtype=np.float16)
    session["t"] = value
    assert session.variable("t").type == "tensor"
    assert session["t"].dtype == np.float16
    np.testing.assert_array_equal(session["t"], value)
    session.register("e", value, type="embedding")
    session.update({"e": value * 2, "t": value[::-1]})
    many = session.get_many("e", "t")
    np.testing.assert_array_equal(many["e"], value * 2)
    np.testing.assert_array_equal(many["t"], value[::-1])
    assert [version.value.shape for version in session.history("e")] == [(5,), (5,)]
    document = session.export()
    assert document["variables"][0]["value"]["json"]["dtype"] == "float16"


def test_without_numpy_arrays_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_numpy", lambda: None)
    for dtype in _arrays.DTYPES:
        value = np.array([[0, 1]], dtype=dtype)
        assert CODEC.decode(*CODEC.encode(value)) == {"shape": [1, 2], "data": [0, 1]}
        assert CODEC.decode(*CODEC.encode(value[0], "embedding")) == [0, 1]


def _pickled(value: Value, kind: str = "tensor") -> tuple[Any, bytes]:
    about = {"type": kind, "dtype": "float32", "shape": [2, 1], "binary_format": "pickle"}
    url = f"type.googleapis.com/snakepit.{kind}.binary"
    return Any(type_url=url, value=json.dumps(about).encode()), pickle.dumps(value)


class Evil:
    def __reduce__(self) -> Value:
        return os.mkdir, ("/tmp/evil",)


def test_pickles_are_read_only_where_allowed() -> None:
    with pytest.raises(Invalid, match="pickle"):
        CODEC.decode(*_pickled([[1.0], [2.0]]))
    allowed = Codec(allow_pickle=True)
    assert allowed.decode(*_pickled([[1.0], [2.0]])) == {"shape": [2, 1], "data": [[1.0], [2.0]]}
    assert allowed.decode(*_pickled((1, 2.5, True), "embedding")) == [1, 2.5, True]
    np.testing.assert_array_equal(allowed.decode(*CODEC.encode(np.arange(3))), np.arange(3))


@pytest.mark.parametrize("value", [Evil(), np.arange(3), {"a": 1}, "text", [None], [[b"x"]], 1j])
def test_nothing_but_lists_of_numbers_is_unpickled(value: Value) -> None:
    with pytest.raises(Invalid, match="pickle"):
        Codec(allow_pickle=True).decode(*_pickled(value))


@given(st.binary())
def test_no_pickle_crashes_the_reader(payload: bytes) -> None:
    about, _ = _pickled([])
    with contextlib.suppress(Invalid):
        Codec(allow_pickle=True).decode(about, payload)


@pytest.mark.parametrize(
    ("shape", "payload"),
    [([0, 10**30], b""), ([1] * 65, b"1"), ([-1], b""), ("2", b"22"), ([3], b"12")],
)
def test_shapes_that_cannot_be_are_refused(shape: Value, payload: bytes) -> None:
    about = {"type": "tensor", "dtype": "uint8", "shape": shape, "binary_format": "raw"}
    url = "type.googleapis.com/snakepit.tensor.binary"
    with pytest.raises(Invalid):
        CODEC.decode(Any(type_url=url, value=json.dumps(about).encode()), payload)
