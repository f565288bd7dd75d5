"""Values outside of a run, with ONNX Runtime's ``OrtValue`` interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError
from sardonyx.runtime.address import address_of

__all__ = ["OrtValue"]


class OrtValue:
    """A tensor, sequence, map or empty optional in the memory of the CPU.

    Types that numpy does not know (bfloat16, float8, 4-bit integers) are arrays of ``ml_dtypes``. An array given to a
    factory is not copied; ``value`` is what is inside.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def ortvalue_from_numpy(
        cls, numpy_obj: npt.NDArray[Any], /, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """A tensor over an array."""
        if device_type.lower() != "cpu" or device_id != 0:
            raise InvalidInputError(f"device {device_type}:{device_id}: values live in the memory of the CPU only")
        return cls(np.asarray(numpy_obj))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: npt.NDArray[Any], /, onnx_element_type: int) -> OrtValue:
        """A tensor over an array whose bits are those of another type of the same size (a ``TensorProto.DataType``)."""
        dtype = _element_type(onnx_element_type)
        array = np.asarray(data)
        if array.dtype.itemsize != dtype.numpy.itemsize:
            raise InvalidInputError(f"elements of {array.dtype} cannot be seen as {dtype}: their sizes differ")
        shape = array.shape
        return cls(np.ascontiguousarray(array).view(dtype.numpy).reshape(shape))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """A tensor of zeros; ``element_type`` is a numpy type or a ``TensorProto.DataType``."""
        dtype = _element_type(element_type).numpy if isinstance(element_type, int) else np.dtype(element_type)
        return cls.ortvalue_from_numpy(np.zeros(tuple(shape), dtype), device_type, device_id)

    @classmethod
    def from_dlpack(cls, value: Any, /, is_bool_tensor: bool = False) -> OrtValue:
        """A tensor over the memory of an object with ``__dlpack__``."""
        array = np.from_dlpack(value)
        return cls(array.view(np.bool_) if is_bool_tensor else array)

    def numpy(self) -> Any:
        """The array (for a sequence, the list of arrays)."""
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.value, dtype=dtype, copy=copy)

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._tensor().__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self._tensor().__dlpack_device__()

    def shape(self) -> list[int]:
        """The sizes of a tensor."""
        return list(self._tensor().shape)

    def data_ptr(self) -> int:
        """The address of a tensor's first element."""
        return address_of(self._tensor())

    def data_type(self) -> str:
        """The type string: ``tensor(float)``, ``seq(tensor(int64))``."""
        if isinstance(self.value, list):
            inner = OrtValue(self.value[0]).data_type() if self.value else "tensor(float)"
            return f"seq({inner})"
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
        """Always False."""
        return False

    def tensor_size_in_bytes(self) -> int:
        return int(self._tensor().nbytes)

    def update_inplace(self, np_arr: npt.NDArray[Any]) -> None:
        """Copies an array of the same shape into this tensor."""
        target = self._tensor()
        if target.shape != np_arr.shape or target.dtype != np_arr.dtype:
            raise InvalidInputError(
                f"expected an array of {target.dtype} with shape {target.shape}, got {np_arr.dtype} with {np_arr.shape}"
            )
        target[...] = np_arr

    def _tensor(self) -> npt.NDArray[Any]:
        if not self.is_tensor():
            raise TypeError(f"the value is a {type(self.value).__name__}, not a tensor")
        return np.asarray(self.value)


def _element_type(number: int) -> dtypes.DType:
    try:
        return dtypes.from_onnx(number)
    except KeyError:
        raise InvalidInputError(f"{number} is not an element type of ONNX (TensorProto.DataType)") from None
