"""TensorProtos of a skeleton as onnx_ir tensors over views of the file.

Every size is checked in Python integers before numpy sees it: dims x element size against the bytes that are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.errors import InvalidModelError, ModelTooLargeError, UnsupportedOpError
from sardonyx.graph.source import Source

__all__ = ["StringTensor", "TensorReader", "tensor_of"]

MAX_RANK = 64
"""numpy's limit."""

MAX_DENSE_BYTES = 1 << 30
"""The most memory that one sparse tensor may take once it is made dense."""

_INT32_KINDS = frozenset(
    d.onnx for d in dtypes.ALL if d.name not in {"float32", "int64", "string", "float64", "uint32", "uint64"}
) - {14, 15}
_FIELD_OF_TYPE = {
    **dict.fromkeys(_INT32_KINDS, "int32_data"),
    dtypes.float32.onnx: "float_data",
    dtypes.complex64.onnx: "float_data",
    dtypes.float64.onnx: "double_data",
    dtypes.complex128.onnx: "double_data",
    dtypes.int64.onnx: "int64_data",
    dtypes.uint32.onnx: "uint64_data",
    dtypes.uint64.onnx: "uint64_data",
}


class StringTensor(ir.StringTensor):
    """Strings, stored as UTF-8 bytes; ``numpy`` gives an object array of ``str``."""

    def numpy(self) -> npt.NDArray[Any]:
        array = np.empty(len(self.string_data()), dtype=object)
        for index, text in enumerate(self.string_data()):  # assigning a list at once would strip trailing zeros
            array[index] = text.decode("utf-8")
        return array.reshape(self.shape.numpy())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.numpy().astype(dtype or object)


def tensor_of(array: npt.NDArray[Any], name: str | None = None) -> ir.TensorProtocol:
    """An onnx_ir tensor over a numpy array (ml_dtypes and arrays of ``str`` included), not copied."""
    if array.dtype.kind in "OSUT":
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1).tolist()]
        return StringTensor(texts, shape=ir.Shape(array.shape), name=name)
    return ir.Tensor(array, ir.DataType(dtypes.from_numpy(array.dtype).onnx), name=name)


class TensorReader:
    """Reads the tensors of one model; ``source`` has its bytes and views, None for protos that hold all their data;
    ``supplied`` are arrays that replace initializers of these names."""

    def __init__(self, source: Source | None = None, supplied: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        self._source = source
        self._supplied = supplied or {}

    def initializer(self, proto: onnx.TensorProto) -> ir.TensorProtocol:
        """The tensor of an initializer of the main graph: what was supplied under its name, else its own data."""
        array = self._supplied.get(proto.name)
        if array is None:
            return self.tensor(proto)
        declared, shape = _element_type(proto.data_type), _checked_dims(proto.dims)
        if dtypes.from_numpy(array.dtype) is not declared or array.shape != shape:
            raise InvalidModelError(
                f"the value supplied for it is {dtypes.from_numpy(array.dtype)} {list(array.shape)}, "
                f"but the model has {declared} {list(shape)}"
            )
        return tensor_of(array, proto.name)

    def tensor(self, proto: onnx.TensorProto) -> ir.TensorProtocol:
        """The tensor of a proto; raises InvalidModelError where its data does not fit its type and dims."""
        name = proto.name or None
        dtype = _element_type(proto.data_type)
        shape = _checked_dims(proto.dims)
        count = _count(shape)
        if proto.HasField("segment"):
            raise UnsupportedOpError("tensors stored in segments are not supported")
        if dtype is dtypes.string:
            return StringTensor(_strings(proto, count), shape=ir.Shape(shape), name=name)
        data = self._payload(proto, dtype, count)
        if dtype.bits == 6 and isinstance(data, np.ndarray):
            return ir.Tensor(data.reshape(shape), ir.DataType(dtype.onnx), name=name)
        if dtype.bits < 8:
            packed = np.frombuffer(data, np.uint8)
            return ir.PackedTensor(packed, ir.DataType(dtype.onnx), shape=ir.Shape(shape), name=name)
        array = np.frombuffer(data, dtype.numpy)
        if dtype is dtypes.bool_ and array.size and array.view(np.uint8).max() > 1:
            array = array.view(np.uint8) != 0  # numpy and compiled code rely on 0 and 1
        try:
            array = array.reshape(shape)
        except ValueError as error:  # no elements, but a size that numpy cannot hold
            raise ModelTooLargeError(f"dims {list(shape)} are too large") from error
        return ir.Tensor(array, ir.DataType(dtype.onnx), name=name)

    def sparse_tensor(self, proto: onnx.SparseTensorProto) -> ir.TensorProtocol:
        """A sparse tensor made dense; raises InvalidModelError for indices out of range, out of order or repeated."""
        values, indices = self.tensor(proto.values).numpy(), self.tensor(proto.indices).numpy()
        shape = _checked_dims(proto.dims)
        count = _count(shape)
        if count * values.dtype.itemsize > MAX_DENSE_BYTES:
            raise ModelTooLargeError(
                f"a sparse tensor of dims {list(shape)} would take {count * values.dtype.itemsize} bytes once dense; "
                f"at most {MAX_DENSE_BYTES} are allowed"
            )
        if values.ndim != 1 or indices.dtype != np.int64:
            raise InvalidModelError("a sparse tensor needs values of rank 1 and int64 indices")
        dense = np.zeros(count, values.dtype)
        dense[_linear_indices(indices, shape, len(values))] = values
        return tensor_of(dense.reshape(shape), proto.values.name or None)

    def _payload(self, proto: onnx.TensorProto, dtype: dtypes.DType, count: int) -> memoryview | npt.NDArray[Any]:
        expected = (count * dtype.bits + 7) // 8
        if proto.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in proto.external_data}
            location, offset, length = (entries.get(key, "") for key in ("location", "offset", "length"))
            if self._source is None:
                raise InvalidModelError(f"external data {location!r} cannot be used here")
            return self._source.external.view(location, offset, length, expected)
        if proto.HasField("raw_data"):
            data = self._raw(proto.raw_data)
            _check_size(len(data), expected, proto, dtype)
            return data
        typed = _typed_data(proto, dtype)
        if dtype.bits == 6:
            expected = count  # the one packed type whose elements take an entry each
        _check_size(typed.nbytes, expected, proto, dtype)
        return typed

    def _raw(self, raw: bytes) -> memoryview:
        """Raw data, or the part of the file that a marker of the scan stands for."""
        place = None if self._source is None else self._source.scan.view_of(raw)
        if self._source is None or place is None:
            return memoryview(raw)
        return self._source.data[place[0] : place[0] + place[1]]


def _element_type(code: int) -> dtypes.DType:
    try:
        return dtypes.from_onnx(code)
    except KeyError:
        raise InvalidModelError(f"element type {code} is not defined by ONNX") from None


def _checked_dims(dims: Sequence[int]) -> tuple[int, ...]:
    if len(dims) > MAX_RANK:
        raise ModelTooLargeError(f"rank {len(dims)}; at most {MAX_RANK} is supported")
    if any(d < 0 for d in dims):
        raise InvalidModelError(f"dims {list(dims)} have a negative size")
    return tuple(dims)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _check_size(got: int, expected: int, proto: onnx.TensorProto, dtype: dtypes.DType) -> None:
    if got != expected:
        raise InvalidModelError(f"dims {list(proto.dims)} of {dtype} take {expected} bytes, but {got} are stored")


def _strings(proto: onnx.TensorProto, count: int) -> list[bytes]:
    if proto.HasField("raw_data") or proto.data_location == onnx.TensorProto.EXTERNAL:
        raise InvalidModelError("a tensor of strings must keep them in string_data")
    texts = list(proto.string_data)
    if len(texts) != count:
        raise InvalidModelError(f"dims {list(proto.dims)} take {count} strings, but {len(texts)} are stored")
    for text in texts:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidModelError(f"a string is not valid UTF-8: {error}") from error
    return texts


def _typed_data(proto: onnx.TensorProto, dtype: dtypes.DType) -> npt.NDArray[Any]:
    """The repeated field of a type, as an array with the bytes that raw_data would have."""
    name = _FIELD_OF_TYPE[dtype.onnx]
    numbers = getattr(proto, name)
    if dtype.kind == "c":
        return np.array(numbers, np.float32 if dtype is dtypes.complex64 else np.float64)
    if name != "int32_data":
        return np.array(numbers, dtype.numpy)
    words = np.array(numbers, np.int32)
    if dtype in (dtypes.int32, dtypes.int8, dtypes.int16, dtypes.uint8, dtypes.uint16):
        return words.astype(dtype.numpy)
    if dtype.bits == 6 and ((words < 0) | (words > 63)).any():
        raise InvalidModelError(f"an element of {dtype} has more than 6 bits")
    # Half-precision and smaller types are stored by their bits, types under a byte already packed into bytes.
    return words.astype(np.uint16 if dtype.bits == 16 else np.uint8)


def _linear_indices(indices: npt.NDArray[np.int64], shape: tuple[int, ...], count: int) -> npt.NDArray[np.int64]:
    inside: npt.NDArray[np.bool_]
    if count and not _count(shape):
        raise InvalidModelError(f"{count} values are given for dims {list(shape)}, which hold none")
    if indices.ndim == 1 and len(indices) == count:
        linear = indices
        inside = np.logical_and(indices >= 0, indices < _count(shape))
    elif indices.shape == (count, len(shape)):
        inside = np.logical_and.reduce((indices >= 0) & (indices < np.array(shape)), axis=1)
        strides = [_count(shape[axis + 1 :]) if count else 0 for axis in range(len(shape))]
        linear = np.where(inside, indices @ np.array(strides, np.int64), -1)
    else:
        raise InvalidModelError(
            f"sparse indices have shape {list(indices.shape)}; expected [{count}] or [{count}, {len(shape)}]"
        )
    if not inside.all():
        raise InvalidModelError(f"a sparse index is outside of dims {list(shape)}")
    if (np.diff(linear) <= 0).any():
        raise InvalidModelError("sparse indices must be in ascending order without repetition")
    return linear
