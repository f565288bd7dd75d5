"""What inference knows about a value of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.dtypes import DType
from sardonyx.symbols import Dim

__all__ = ["ElementInfo", "TensorInfo"]


@dataclass(frozen=True)
class ElementInfo:
    """What all elements of a sequence have in common, or what an optional holds.

    ``shape`` has None for a size that differs between elements or is not known; it is None where the rank is not known.
    ``sequence`` is set where the elements are sequences themselves. ``empty`` says that there is no element at all.
    """

    dtype: DType | None = None
    shape: tuple[Dim | None, ...] | None = None
    sequence: ElementInfo | None = None
    empty: bool = False


@dataclass(frozen=True)
class TensorInfo:
    """Type, symbolic sizes and, for small integer tensors, symbolic contents of a value.

    ``dtype`` is None where the type is not known or the value is no tensor; ``shape`` is None where the rank is not
    known. ``values`` holds the flattened contents of an integer tensor of rank 0 or 1 when every element is a known
    constant or expression of sizes. ``const`` is the array of a constant (never copied). A sequence or an optional has
    one of ``sequence`` and ``optional`` instead.
    """

    dtype: DType | None = None
    shape: tuple[Dim, ...] | None = None
    values: tuple[Dim, ...] | None = None
    const: npt.NDArray[Any] | None = None
    sequence: ElementInfo | None = None
    optional: ElementInfo | None = None

    @property
    def is_container(self) -> bool:
        """Whether the value is known to be a sequence or an optional."""
        return self.sequence is not None or self.optional is not None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @staticmethod
    def of_array(array: npt.NDArray[Any], dtype: DType) -> TensorInfo:
        """The info of a constant; contents are recorded for integer tensors of rank 0 or 1 with up to 64 elements."""
        values: tuple[Dim, ...] | None = None
        if dtype.is_integer and array.ndim <= 1 and array.size <= 64:
            values = tuple(int(v) for v in np.asarray(array).reshape(-1))
        return TensorInfo(dtype, tuple(int(d) for d in array.shape), values, array)
