"""Values outside of a run, with ONNX Runtime's ``OrtValue`` interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError, UnreadableInputError
from sardonyx.runtime.address import address_of
from sardonyx.session.devices import OrtDevice, OrtMemoryInfo, check_device
from sardonyx.session.dlpack import array_from, capsule_of
from sardonyx.session.sparse import SparseTensor

__all__ = ["OrtValue", "OrtValueVector", "copy_tensors", "element_type_of"]


class OrtValue:
    """A tensor, sparse tensor, sequence, map or empty optional in the memory of the CPU.

    Types that numpy does not know (bfloat16, float8, 4-bit integers) are arrays of ``ml_dtypes``. A contiguous array
    given to a factory is not copied; ``value`` is what is inside.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def ortvalue_from_numpy(
        cls,
        numpy_obj: npt.NDArray[Any],
        /,
        device_type: str | OrtDevice = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """A tensor over an array. Raises RuntimeError for a device other than the CPU."""
        check_device(device_type, device_id)
        array = np.asarray(numpy_obj)
        return cls(array if array.flags.c_contiguous else array.copy())

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: npt.NDArray[Any], /, onnx_element_type: int) -> OrtValue:
        """A tensor over an array whose bits are those of another type of the same size (a ``TensorProto.DataType``)."""
        dtype = element_type_of(onnx_element_type)
        array = np.asarray(data)
        if array.dtype.itemsize != dtype.numpy.itemsize:
            raise UnreadableInputError(f"elements of {array.dtype} cannot be seen as {dtype}: their sizes differ")
        shape = array.shape
        return cls(np.ascontiguousarray(array).view(dtype.numpy).reshape(shape))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str | OrtDevice = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
        memory_info: OrtMemoryInfo | None = None,
    ) -> OrtValue:
        """A tensor of zeros; ``element_type`` is a numpy type or a ``TensorProto.DataType``."""
        if memory_info is None:
            check_device(device_type, device_id)
        return cls(np.zeros(tuple(shape), element_type_of(element_type).numpy))

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: SparseTensor) -> OrtValue:
        """A value that holds a sparse tensor."""
        return cls(sparse_tensor)

    @classmethod
    def from_dlpack(cls, data: Any, /, is_bool_tensor: bool = False) -> OrtValue:
        """A tensor over the memory of an object with ``__dlpack__``.

        ``is_bool_tensor`` says that the bytes of an old library, which has no type for them, are booleans.
        """
        array = array_from(data)
        return cls(array.view(np.bool_) if is_bool_tensor else array)

    def as_sparse_tensor(self) -> SparseTensor:
        """The sparse tensor inside; TypeError for another kind of value."""
        if not isinstance(self.value, SparseTensor):
            raise TypeError(f"the value is a {type(self.value).__name__}, not a sparse tensor")
        return self.value

    def numpy(self) -> Any:
        """The array (for a sequence, the list of arrays). Raises RuntimeError for a sparse tensor."""
        if self.is_sparse_tensor():
            raise UnreadableInputError("a sparse tensor has no array: take as_sparse_tensor()")
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.value, dtype=dtype, copy=copy)

    def to_dlpack(self) -> Any:
        """A DLPack capsule over the tensor's memory."""
        return capsule_of(self._tensor())

    def __dlpack__(self, **arguments: Any) -> Any:
        return capsule_of(self._tensor(), **arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def shape(self) -> list[int]:
        """The sizes of a tensor, dense ones of a sparse tensor."""
        return self.value.dense_shape() if isinstance(self.value, SparseTensor) else list(self._tensor().shape)

    def data_ptr(self) -> int:
        """The address of a tensor's first element."""
        return address_of(self._tensor())

    def data_type(self) -> str:
        """The type string: ``tensor(float)``, ``seq(tensor(int64))``, ``map(int64,tensor(float))``."""
        match self.value:
            case SparseTensor():
                return self.value.data_type()
            case list():
                inner = OrtValue(self.value[0]).data_type() if self.value else "tensor(float)"
                return f"seq({inner})"
            case dict():
                key, item = next(iter(self.value.items()), (0, np.float32(0)))
                return f"map({'string' if isinstance(key, str) else 'int64'},{_scalar_type(item)})"
        return f"tensor({dtypes.from_numpy(self._tensor().dtype).ort_name})"

    def element_type(self) -> int:
        """The ``TensorProto.DataType`` of a tensor."""
        return dtypes.from_numpy(self._tensor().dtype).onnx

    def device_name(self) -> str:
        """Always ``cpu``."""
        return "cpu"

    def has_value(self) -> bool:
        """False for an optional without value."""
        return self.value is not None

    def is_tensor(self) -> bool:
        return isinstance(self.value, np.ndarray | np.generic)

    def is_tensor_sequence(self) -> bool:
        return isinstance(self.value, list)

    def is_sparse_tensor(self) -> bool:
        return isinstance(self.value, SparseTensor)

    def tensor_size_in_bytes(self) -> int:
        return int(self._tensor().nbytes)

    def update_inplace(self, data: npt.NDArray[Any] | OrtValue) -> None:
        """Copies an array or another value of the same shape and type into this tensor's memory."""
        source = data._tensor() if isinstance(data, OrtValue) else data
        if not isinstance(source, np.ndarray):
            raise TypeError("data must be a numpy.ndarray or an OrtValue.")
        target = self._tensor()
        if target.shape != source.shape or target.dtype != source.dtype:
            raise UnreadableInputError(
                f"expected an array of {target.dtype} with shape {target.shape}, got {source.dtype} with {source.shape}"
            )
        target[...] = source

    def _tensor(self) -> npt.NDArray[Any]:
        if not self.is_tensor():
            raise TypeError(f"the value is a {type(self.value).__name__}, not a tensor")
        return np.asarray(self.value)

    # -- the inner object that ONNX Runtime's OrtValue wraps is this one itself ------------------------------------

    @property
    def _ortvalue(self) -> OrtValue:
        return self

    def _get_c_value(self) -> OrtValue:
        return self


class OrtValueVector(list[OrtValue]):
    """A list of OrtValues with the extra names of ONNX Runtime's vector."""

    def push_back(self, value: Any, is_bool_tensor: bool = False) -> None:
        """Appends an OrtValue, or a tensor of another library."""
        self.append(value if isinstance(value, OrtValue) else OrtValue.from_dlpack(value, is_bool_tensor))

    def push_back_batch(
        self,
        tensors: Sequence[Any],
        addresses: Sequence[int],
        element_types: Sequence[Any],
        shapes: Sequence[Sequence[int]],
        devices: Sequence[Any],
    ) -> None:
        """Appends tensors of another library, which must still hold the memory at these addresses."""
        for tensor in tensors:
            self.append(OrtValue.from_dlpack(tensor))

    def element_type_at(self, index: int) -> int:
        return self[index].element_type()

    def dlpack_at(self, index: int) -> Any:
        """A DLPack capsule of one tensor."""
        return self[index].to_dlpack()

    def to_dlpacks(self, convert: Callable[[Any], Any] | None = None) -> list[Any]:
        """DLPack capsules of all tensors, or what ``convert`` makes of them."""
        return [value.to_dlpack() if convert is None else convert(value.to_dlpack()) for value in self]

    def reserve(self, count: int) -> None:
        """Nothing: a list grows by itself."""

    def shrink_to_fit(self) -> None:
        """Nothing."""


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: Any = None) -> None:
    """Copies the contents of tensors into others of the same shapes and types."""
    if len(src) != len(dst):
        raise UnreadableInputError(f"{len(src)} tensors cannot be copied into {len(dst)}")
    for source, target in zip(src, dst, strict=True):
        target.update_inplace(source)


def element_type_of(given: Any) -> dtypes.DType:
    """The element type of a ``TensorProto.DataType`` number or a numpy type; raises InvalidInputError for others."""
    try:
        return dtypes.from_onnx(given) if isinstance(given, int) else dtypes.from_numpy(np.dtype(given))
    except (KeyError, TypeError):
        raise InvalidInputError(f"{given} is not an element type of ONNX (TensorProto.DataType)") from None


def _scalar_type(value: Any) -> str:
    if isinstance(value, str):
        return "tensor(string)"
    kind = np.asarray(value).dtype
    return f"tensor({'float' if isinstance(value, float) else dtypes.from_numpy(kind).ort_name})"
