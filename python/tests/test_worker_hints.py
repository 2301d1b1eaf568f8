"""What can be told of numpy's, torch's and jax's exceptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from snakepit.errors import Refused
from snakepit.worker import _hints
from tests.fake_node import Link


def _raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def _ones(*shape: int) -> Any:
    return np.ones(shape)


def _add_in_place() -> None:
    whole: Any = np.ones(3, dtype=np.int64)
    whole += 0.5


@pytest.mark.parametrize(
    ("function", "kind", "details"),
    [
        (
            lambda: _ones(2, 3) + _ones(4),
            "shape_mismatch",
            {"expected_shape": "(2,3)", "actual_shape": "(4,)"},
        ),
        (
            lambda: np.dot(_ones(2, 3), _ones(4, 5)),
            "shape_mismatch",
            {"expected_shape": "(2,3)", "actual_shape": "(4,5)"},
        ),
        (
            lambda: _ones(2, 3) @ _ones(4, 5),
            "shape_mismatch",
            {"dimension": "0", "actual_size": "4", "expected_size": "3"},
        ),
        (
            lambda: _ones(6).reshape(4, 2),
            "shape_mismatch",
            {"actual_size": "6", "expected_shape": "(4,2)"},
        ),
        (
            lambda: _ones(2).__setitem__(slice(None), _ones(3)),
            "shape_mismatch",
            {"actual_shape": "(3,)", "expected_shape": "(2,)"},
        ),
        (
            lambda: np.concatenate([_ones(1, 3), _ones(1, 4)]),
            "shape_mismatch",
            {"dimension": "1", "expected_size": "3", "actual_size": "4"},
        ),
        (lambda: np.stack([_ones(2), _ones(3)]), "shape_mismatch", {}),
        (lambda: np.array([[1, 2], [3]]), "shape_mismatch", {}),
        (_add_in_place, "dtype_mismatch", {"actual_dtype": "float64", "expected_dtype": "int64"}),
        (
            lambda: np.array([1]).astype(object) + 1 == np.add(np.array(["a"]), np.array([1])),
            "dtype_mismatch",
            None,
        ),
        (
            lambda: np.ones((10**7, 10**7)),
            "out_of_memory",
            {"requested_bytes": str(728 * 2**40), "device": "cpu", "actual_shape": "(10000000, 10000000)"},
        ),
    ],
)
def test_of_numpy(function: Callable[[], Any], kind: str, details: dict[str, str] | None) -> None:
    error = _raised(function)
    found = _hints.of(error, str(error))
    assert found.kind == kind, error
    assert found.hint
    if details is not None:
        assert found.details == details


_RECORDED = [
    (
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
        "shape_mismatch",
        {"expected_shape": "(2, 3)", "actual_shape": "(4, 5)"},
    ),
    (
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
        "shape_mismatch",
        {"actual_size": "3", "expected_size": "4", "dimension": "1"},
    ),
    (
        "shape '[4, 2]' is invalid for input of size 6",
        "shape_mismatch",
        {"expected_shape": "[4, 2]", "actual_size": "6"},
    ),
    (
        "Given groups=1, weight of size [64, 3, 7, 7], expected input[1, 1, 28, 28] to have 3 channels, but got "
        "1 channels instead",
        "shape_mismatch",
        {"actual_shape": "[1, 1, 28, 28]", "expected_size": "3", "actual_size": "1"},
    ),
    (
        "size mismatch for fc.weight: copying a param with shape torch.Size([10, 5]) from checkpoint, the shape "
        "in current model is torch.Size([3, 5]).",
        "shape_mismatch",
        {"actual_shape": "[10, 5]", "expected_shape": "[3, 5]"},
    ),
    (
        "Expected input batch_size (3) to match target batch_size (4).",
        "shape_mismatch",
        {"actual_size": "3", "expected_size": "4"},
    ),
    (
        "expected scalar type Float but found Double",
        "dtype_mismatch",
        {"expected_dtype": "Float", "actual_dtype": "Double"},
    ),
    (
        "expected m1 and m2 to have the same dtype, but got: float != double",
        "dtype_mismatch",
        {"expected_dtype": "float", "actual_dtype": "double"},
    ),
    (
        "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same",
        "device_mismatch",
        {"expected_device": "cpu", "actual_device": "cuda"},
    ),
    (
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (when "
        "checking argument for argument mat1 in method wrapper_CUDA_addmm)",
        "device_mismatch",
        {"expected_device": "cuda:0", "actual_device": "cpu"},
    ),
    (
        "Expected all tensors to be on the same device, but got mat2 is on cpu, different from other tensors on "
        "cuda:0 (when checking argument in method wrapper_CUDA_mm)",
        "device_mismatch",
        {"expected_device": "cuda:0", "actual_device": "cpu"},
    ),
    (
        "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity; 5.04 GiB already "
        "allocated; 1.11 GiB free; 5.10 GiB reserved in total by PyTorch)",
        "out_of_memory",
        {"requested_bytes": str(2 * 2**30), "device": "cuda:0"},
    ),
    (
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 1 has a total capacity of 7.79 GiB of which 18.00 "
        "MiB is free.",
        "out_of_memory",
        {"requested_bytes": str(20 * 2**20), "device": "cuda:1"},
    ),
    (
        "MPS backend out of memory (MPS allocated: 18.12 GB, other allocations: 1.00 MB, max allowed: 18.13 GB)."
        " Tried to allocate 1.50 GB on private pool.",
        "out_of_memory",
        {"requested_bytes": str(int(1.5 * 2**30)), "device": "mps"},
    ),
    ("CUDA error: out of memory", "out_of_memory", {"device": "cuda"}),
    (
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
        "out_of_memory",
        {"requested_bytes": "4000000000000", "device": "cpu"},
    ),
    (
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4000000000 bytes.",
        "out_of_memory",
        {"requested_bytes": "4000000000"},
    ),
    (
        "add got incompatible shapes for broadcasting: (2,), (3,).",
        "shape_mismatch",
        {"expected_shape": "(2,)", "actual_shape": "(3,)"},
    ),
    (
        "dot_general requires contracting dimensions to have the same shape, got (3,) and (4,).",
        "shape_mismatch",
        {"expected_shape": "(3,)", "actual_shape": "(4,)"},
    ),
    (
        "Incompatible shapes for broadcasting: shapes=[(2, 3), (4,)]",
        "shape_mismatch",
        {"expected_shape": "(2, 3)", "actual_shape": "(4,)"},
    ),
    (
        "lax.add requires arguments to have the same dtypes, got float32, int32. (Tip: jnp.add is a similar "
        "function that does automatic type promotion on inputs).",
        "dtype_mismatch",
        {"expected_dtype": "float32", "actual_dtype": "int32"},
    ),
    (
        "Received incompatible devices for jitted computation. Got argument x of f with shape float32[3] and "
        "device ids [0] on platform CPU and argument y of f with shape float32[3] and device ids [0] on platform "
        "GPU",
        "device_mismatch",
        {"expected_device": "CPU", "actual_device": "GPU"},
    ),
]


@pytest.mark.parametrize(("text", "kind", "details"), _RECORDED)
def test_of_torch_and_jax(text: str, kind: str, details: dict[str, str]) -> None:
    found = _hints.of(RuntimeError(text), text)
    assert (found.kind, found.details) == (kind, details)
    assert ("device" in found.hint) == (kind == "device_mismatch" or details.get("device", "cpu") != "cpu")


def test_of_nothing_in_particular() -> None:
    for text in ("", "no such file", "the size of it", "a type of device that is aligned in memory"):
        assert _hints.of(ValueError(text), text) == _hints.NOTHING
    assert _hints.of(MemoryError(), "").kind == "out_of_memory"
    assert _hints.of(Refused("locked", hint="wait a bit"), "locked").hint == "wait a bit"
    long = "RESOURCE_EXHAUSTED " * 10_000
    assert _hints.of(RuntimeError(long), long).kind == "out_of_memory"


def test_an_errors_kind_is_on_the_wire(link: Link) -> None:
    error = link.error(link.call("misfit"))
    assert (error.type, error.kind) == ("ValueError", "shape_mismatch")
    assert dict(error.details) == {"expected_shape": "(2,3)", "actual_shape": "(4,)"}
    assert "reshape" in error.hint
    chained = link.error(link.call("misfit", chained=True))
    assert chained.type == "RuntimeError"
    assert "could not be broadcast" in chained.traceback
    assert link.error(link.call("fail")).kind == ""
