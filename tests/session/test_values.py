"""OrtValue, its exchange with other libraries, sparse tensors; against ONNX Runtime's where it has the same."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

import sardonyx
from sardonyx.session.dlpack import array_from
from session import models

QUESTIONS = [
    "shape", "data_type", "element_type", "device_name", "is_tensor", "is_sparse_tensor", "is_tensor_sequence",
    "has_value", "tensor_size_in_bytes", "__dlpack_device__",
]  # fmt: skip
ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array(3),
    np.zeros((0, 4), np.uint8),
    np.array([True, False]),
    np.ones((2, 2), np.float16),
    np.arange(12.0).reshape(3, 4).T,
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{list(a.shape)}")
def test_questions(array: np.ndarray) -> None:
    ours = sardonyx.OrtValue.ortvalue_from_numpy(array)
    theirs = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    for question in QUESTIONS:
        assert getattr(ours, question)() == getattr(theirs, question)()
    for taken in (ours.numpy(), np.asarray(ours), np.from_dlpack(ours), np.from_dlpack(ours)):
        np.testing.assert_array_equal(taken, array)
    assert (ours.data_ptr() == array.ctypes.data) == array.flags.c_contiguous


def test_from_shape_and_type() -> None:
    for kind in (np.float32, "int64", TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN):
        ours, theirs = (
            e.OrtValue.ortvalue_from_shape_and_type([2, 3], np.dtype(kind) if isinstance(kind, str) else kind)
            for e in (sardonyx, onnxruntime)
        )
        for question in QUESTIONS:
            assert getattr(ours, question)() == getattr(theirs, question)()
    for engine in (sardonyx, onnxruntime):
        with pytest.raises(RuntimeError):
            engine.OrtValue.ortvalue_from_shape_and_type([2], np.float32, "cuda", 0)
        with pytest.raises(Exception, match="Unsupported device type"):
            engine.OrtValue.ortvalue_from_shape_and_type([2], np.float32, "abacus", 0)
        with pytest.raises(RuntimeError):
            engine.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ones(2, np.uint8), TensorProto.BFLOAT16)


def test_update_inplace() -> None:
    for engine in (sardonyx, onnxruntime):
        value = engine.OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))
        address = value.data_ptr()
        value.update_inplace(np.arange(6, dtype=np.float32).reshape(3, 2).T)
        assert value.numpy().tolist() == [[0, 2, 4], [1, 3, 5]]
        value.update_inplace(engine.OrtValue.ortvalue_from_numpy(np.full((2, 3), 9, np.float32)))
        assert (value.numpy() == 9).all()
        assert value.data_ptr() == address
        with pytest.raises(RuntimeError):
            value.update_inplace(np.ones(3, np.float32))
        with pytest.raises(TypeError):
            value.update_inplace([1])
    other = sardonyx.OrtValue.ortvalue_from_numpy(np.ones((2, 3), np.float32))
    sardonyx.copy_tensors([other], [value := sardonyx.OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))])
    assert (value.numpy() == 1).all()


# -- DLPack ---------------------------------------------------------------------------------------------------------


class Producer:
    """An object with ``__dlpack__`` that says when it is gone."""

    def __init__(self, value: sardonyx.OrtValue) -> None:
        self.value = value

    def __dlpack__(self, **arguments):
        return self.value.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_types_that_numpy_does_not_exchange(name: str, shape: tuple) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(getattr(ml_dtypes, name))
    value = sardonyx.OrtValue.ortvalue_from_numpy(array)
    taken = array_from(Producer(value))
    assert taken.dtype == array.dtype
    assert taken.shape == array.shape
    np.testing.assert_array_equal(taken.astype(float), array.astype(float))
    if array.size:
        assert taken.ctypes.data == array.ctypes.data
    alive = weakref.ref(array)
    del array, value
    gc.collect()
    assert (alive() is not None) == bool(taken.size)  # the memory lives as long as what was made of it
    del taken
    gc.collect()
    assert alive() is None


class Foreign:
    """A tensor of another library, which may not want to be read here."""

    def __init__(self, array: np.ndarray, elsewhere: bool = False) -> None:
        self.array, self.elsewhere = array, elsewhere

    def __dlpack__(self, **options: Any) -> Any:
        if self.elsewhere:
            raise BufferError("it lies on another device")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2 if self.elsewhere else 1, 0)


def test_tensors_of_other_libraries_as_input() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    array = np.ones((2, 8), np.float32)
    expected = session.run(["y"], {"x": array})[0]
    np.testing.assert_array_equal(session.run(["y"], {"x": Foreign(array)})[0], expected)
    with pytest.raises(sardonyx.InvalidInputError, match="'x'"):
        session.run(["y"], {"x": Foreign(array, elsewhere=True)})


def test_vector() -> None:
    vector = sardonyx.OrtValueVector()
    vector.push_back(sardonyx.OrtValue.ortvalue_from_numpy(np.ones(3, np.float32)))
    vector.push_back(np.zeros((2, 2)))
    assert [v.shape() for v in vector] == [[3], [2, 2]]
    assert vector.element_type_at(1) == TensorProto.DOUBLE
    assert len(vector.to_dlpacks()) == len(vector.to_dlpacks(lambda capsule: capsule)) == 2


# -- sequences, maps, sparse tensors --------------------------------------------------------------------------------


def test_other_kinds() -> None:
    sequence = sardonyx.OrtValue([np.ones(2, np.int64)])
    assert sequence.is_tensor_sequence()
    assert sequence.data_type() == "seq(tensor(int64))"
    assert sardonyx.OrtValue({"a": 1.0}).data_type() == "map(string,tensor(float))"
    assert sardonyx.OrtValue([{1: np.float32(1)}]).data_type() == "seq(map(int64,tensor(float)))"
    assert not sardonyx.OrtValue(None).has_value()
    with pytest.raises(TypeError, match="not a tensor"):
        sequence.shape()


def test_sparse_tensors() -> None:
    values, seen = np.array([1.0, 2.0], np.float32), []
    for engine in (sardonyx, onnxruntime):
        cpu = engine.OrtDevice.make("cpu", 0)
        coo = engine.SparseTensor.sparse_coo_from_numpy([3, 3], values, np.array([0, 4]), cpu)
        csr = engine.SparseTensor.sparse_csr_from_numpy([3, 3], values, np.array([0, 1]), np.array([0, 1, 2, 2]), cpu)
        value = engine.OrtValue.ort_value_from_sparse_tensor(coo)
        seen.append(
            [
                [coo.dense_shape(), coo.data_type(), coo.device_name(), str(coo.format()), coo.values().tolist()],
                [str(csr.format()), csr.as_csrc_view().inner().tolist(), csr.as_csrc_view().outer().tolist()],
                [coo.as_coo_view().indices().tolist(), value.is_sparse_tensor(), value.is_tensor(), value.shape()],
            ]
        )
        with pytest.raises(RuntimeError):
            value.numpy()
        assert value.as_sparse_tensor().values().tolist() == [1, 2]
    assert seen[0] == seen[1]
    with pytest.raises(sardonyx.InvalidInputError):
        sardonyx.SparseTensor.sparse_coo_from_numpy([3], values, np.array([0]), sardonyx.OrtDevice.make("cpu", 0))


def test_devices() -> None:
    for arguments in (("cpu", 0), ("cuda", 1), ("gpu", 0, 0x8086), ("npu", 0), ("dml", 0)):
        ours, theirs = (e.OrtDevice.make(*arguments) for e in (sardonyx, onnxruntime))
        for question in ("device_id", "device_type", "device_vendor_id", "device_mem_type"):
            assert getattr(ours, question)() == getattr(theirs, question)()
    for settings in ((0, -1, -1, -1), ({"max_mem": 5},)):
        ours, theirs = (e.OrtArenaCfg(*settings) for e in (sardonyx, onnxruntime))
        for name in ("max_mem", "arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk"):
            assert getattr(ours, name) == getattr(theirs, name)
    ours, theirs = (
        e.OrtMemoryInfo("Cpu", e.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, e.OrtMemType.DEFAULT)
        for e in (sardonyx, onnxruntime)
    )
    assert (ours.name, ours.device_id, int(ours.mem_type)) == (theirs.name, theirs.device_id, int(theirs.mem_type))
