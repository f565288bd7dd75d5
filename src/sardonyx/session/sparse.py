"""Sparse tensors as values outside of a run, with ONNX Runtime's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.enums import OrtSparseFormat
from sardonyx.errors import InvalidInputError
from sardonyx.session.devices import OrtDevice, check_device

__all__ = ["SparseTensor"]


class SparseTensor:
    """Values and where they are: by coordinates (COO) or by compressed rows (CSR). The arrays are not copied."""

    def __init__(
        self,
        format_: OrtSparseFormat,
        dense_shape: Sequence[int],
        values: npt.NDArray[Any],
        indices: Sequence[npt.NDArray[np.int64]],
    ) -> None:
        self._format = format_
        self._shape = [int(size) for size in dense_shape]
        self._values = _read_only(np.asarray(values))
        self._indices = tuple(_read_only(np.asarray(part, np.int64)) for part in indices)

    @classmethod
    def sparse_coo_from_numpy(
        cls,
        dense_shape: Sequence[int],
        values: npt.NDArray[Any],
        coo_indices: npt.NDArray[np.int64],
        ort_device: OrtDevice,
    ) -> SparseTensor:
        """From values [n] and their indices: [n] linear ones, or [n, rank]; InvalidInputError for other sizes."""
        _check_cpu(ort_device)
        rank, indices = len(dense_shape), np.asarray(coo_indices)
        if indices.size not in (len(values), rank * len(values)):
            raise InvalidInputError(
                f"{len(values)} values need {len(values)} linear indices or {len(values)} x {rank}, got {indices.size}"
            )
        if indices.size != len(values) and indices.ndim == 1:
            indices = indices.reshape(len(values), rank)
        return cls(OrtSparseFormat.ORT_SPARSE_COO, dense_shape, values, [indices])

    @classmethod
    def sparse_csr_from_numpy(
        cls,
        dense_shape: Sequence[int],
        values: npt.NDArray[Any],
        inner_indices: npt.NDArray[np.int64],
        outer_indices: npt.NDArray[np.int64],
        ort_device: OrtDevice,
    ) -> SparseTensor:
        """From values [n], their columns [n], and where each row begins [rows + 1]; InvalidInputError else."""
        _check_cpu(ort_device)
        if len(dense_shape) != 2 or len(inner_indices) != len(values) or len(outer_indices) != dense_shape[0] + 1:
            raise InvalidInputError(
                f"rows of shape {list(dense_shape)} with {len(values)} values need as many columns and one row start "
                f"more than rows, got {len(inner_indices)} and {len(outer_indices)}"
            )
        return cls(OrtSparseFormat.ORT_SPARSE_CSRC, dense_shape, values, [inner_indices, outer_indices])

    def values(self) -> npt.NDArray[Any]:
        """The values that are there, [n]."""
        return self._values

    def as_coo_view(self) -> CooView:
        """The indices of a tensor in coordinates."""
        self._check(OrtSparseFormat.ORT_SPARSE_COO)
        return CooView(*self._indices)

    def as_csrc_view(self) -> CsrView:
        """The indices of a tensor in compressed rows."""
        self._check(OrtSparseFormat.ORT_SPARSE_CSRC)
        return CsrView(*self._indices)

    def _check(self, format_: OrtSparseFormat) -> None:
        if self._format is not format_:
            raise InvalidInputError(f"the sparse tensor is in {self._format}, not in {format_}")

    def to_cuda(self, ort_device: OrtDevice) -> SparseTensor:
        """Raises RuntimeError: values live in the memory of the CPU only."""
        _check_cpu(OrtDevice.make("cuda", ort_device.device_id()))
        return self

    def format(self) -> OrtSparseFormat:
        return self._format

    def dense_shape(self) -> list[int]:
        """The sizes of the tensor that this stands for."""
        return list(self._shape)

    def data_type(self) -> str:
        """``sparse_tensor(float)`` and so on."""
        return f"sparse_tensor({dtypes.from_numpy(self._values.dtype).ort_name})"

    def device_name(self) -> str:
        """Always ``cpu``."""
        return "cpu"


class CooView:
    """Where the values of a COO tensor are."""

    def __init__(self, indices: npt.NDArray[np.int64]) -> None:
        self._indices = indices

    def indices(self) -> npt.NDArray[np.int64]:
        """[n] linear indices, or [n, rank]."""
        return self._indices


class CsrView:
    """Where the values of a CSR tensor are."""

    def __init__(self, inner: npt.NDArray[np.int64], outer: npt.NDArray[np.int64]) -> None:
        self._inner, self._outer = inner, outer

    def inner(self) -> npt.NDArray[np.int64]:
        """The column of each value."""
        return self._inner

    def outer(self) -> npt.NDArray[np.int64]:
        """Where each row begins in the values, and the end."""
        return self._outer


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_cpu(device: OrtDevice) -> None:
    check_device("gpu" if device.device_type() else "cpu", device.device_id())
