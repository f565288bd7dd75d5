"""Categories as numbers and back: LabelEncoder, OneHotEncoder, CategoryMapper of ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.lookup import CategoryRows, Lookup
from sardonyx.kernels.point import compute_dtype
from sardonyx.ops.base import Anchor, InferContext, LowerContext, Op, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["CategoryMapper", "LabelEncoder", "OneHotEncoder", "strings_of"]

Array = npt.NDArray[Any]


def strings_of(array: Array) -> Array:
    """An object array of ``str``; tensors of files hold bytes."""
    items = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in array.flat]
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(array.shape)


@dataclass(frozen=True)
class _Table:
    """Keys and values as vectors, each key once, and the value of what is no key."""

    keys: Array
    values: Array
    default: Any

    @cached_property
    def by_text(self) -> dict[str, Any]:
        return dict(zip(self.keys.tolist(), self.values.tolist(), strict=True))

    @cached_property
    def ordered(self) -> tuple[Array, Array]:
        """The keys but NaN in ascending order; their values, then that of no key, then that of NaN."""
        numbers = self.keys == self.keys
        order = np.flatnonzero(numbers)[np.argsort(self.keys[numbers], kind="stable")]
        values = np.empty(len(order) + 2, self.values.dtype)
        values[:-2] = self.values[order]
        values[-2] = self.default
        values[-1] = self.default if numbers.all() else self.values[~numbers][0]
        return self.keys[order], values

    def find(self, x: Array) -> Array:
        """The values of an array of keys."""
        if self.keys.dtype == object:
            get, default = self.by_text.get, self.default
            found = [get(item, default) for item in x.reshape(-1).tolist()]
            return np.array(found, self.values.dtype).reshape(x.shape)
        keys, values = self.ordered
        place = np.searchsorted(keys, x)
        hit = place < len(keys)
        hit[hit] = keys[place[hit]] == x[hit]
        place = np.where(hit, place, np.where(x == x, len(keys), len(keys) + 1))
        return values[place]


@op("LabelEncoder", "ai.onnx.ml")
class LabelEncoder(Anchor):
    """The value that stands at the place of each element among the keys, or a default. NaN is a key like others."""

    default_float: float = -0.0
    default_int64: int = -1
    default_string: str = "_Unused"
    default_tensor: object = None
    keys_floats: tuple[float, ...] | None = None
    keys_int64s: tuple[int, ...] | None = None
    keys_strings: tuple[str, ...] | None = None
    keys_tensor: object = None
    values_floats: tuple[float, ...] | None = None
    values_int64s: tuple[int, ...] | None = None
    values_strings: tuple[str, ...] | None = None
    values_tensor: object = None

    def _list(self, kind: str) -> Array:
        """The keys or the values; ValueError unless there is exactly one list of them."""
        given = {name: getattr(self, f"{kind}_{name}") for name in ("floats", "int64s", "strings", "tensor")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"it must have exactly one attribute {kind}_*, got {sorted(given) or 'none'}")
        ((name, value),) = given.items()
        if name == "tensor":
            array = np.asarray(value).reshape(-1)
            return strings_of(array) if array.dtype.kind in "OSUT" else array
        kinds: dict[str, npt.DTypeLike] = {"floats": np.float32, "int64s": np.int64, "strings": object}
        return np.array(value, kinds[name])

    @cached_property
    def table(self) -> _Table:
        """The decoded attributes; ValueError where they do not go together."""
        keys, values = self._list("keys"), self._list("values")
        if len(keys) != len(values):
            raise ValueError(f"{len(keys)} keys for {len(values)} values")
        default: Any = self.default_string if values.dtype == object else self.default_float
        if values.dtype.kind in "iu":
            default = self.default_int64
        if self.default_tensor is not None:
            given = np.asarray(self.default_tensor).reshape(-1)
            if given.size != 1:
                raise ValueError(f"default_tensor must hold one element, got {given.size}")
            default = strings_of(given)[0] if given.dtype.kind in "OSUT" else given[0]
        _, first = np.unique(keys, return_index=True)  # of equal keys the first counts
        first.sort()
        return _Table(keys[first], values[first], default)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        try:
            table = self.table
        except (ValueError, TypeError) as error:
            ctx.fail(str(error))
        keys = dtypes.from_numpy(table.keys.dtype)
        if data.dtype is not None and data.dtype != keys:
            ctx.fail(f"the input has type {data.dtype}, the keys are {keys}")
        return (TensorInfo(dtypes.from_numpy(table.values.dtype), data.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        used = (ctx.input(0).dtype, dtypes.from_numpy(self.table.values.dtype))
        return all(dtype is not None and computable(dtype, "fiu") for dtype in used)

    def lower(self, ctx: LowerContext) -> None:
        data, target = ctx.contiguous(0), ctx.output()
        keys, values = self.table.ordered
        keys = keys.astype(compute_dtype(data.dtype).numpy)
        count = product(data.shape)
        tables = [ctx.constant(keys if len(keys) else np.zeros(1, keys.dtype)), ctx.constant(values)]
        operands = [data, *tables, target]
        ctx.call(Lookup(data.dtype, target.dtype), operands, [count, len(keys)], Lookup.tasks(count), 8 * count)

    def hosts(self, ctx: InferContext) -> bool:
        return object in (self.table.keys.dtype, self.table.values.dtype)

    def host(self, *values: Any) -> Sequence[Any]:
        return [self.table.find(np.asarray(values[0]))]


@op("OneHotEncoder", "ai.onnx.ml")
class OneHotEncoder(Anchor):
    """A new last dimension with a 1 at the place of the element among the categories; of none: zeros, or (``zeros`` 0)
    an error."""

    cats_int64s: tuple[int, ...] | None = None
    cats_strings: tuple[str, ...] | None = None
    zeros: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if (self.cats_int64s is None) == (self.cats_strings is None):
            ctx.fail("it must have either cats_int64s or cats_strings")
        if data.dtype is not None and (data.dtype is dtypes.string) != (self.cats_strings is not None):
            ctx.fail(f"the input has type {data.dtype}, but its categories are of another type")
        categories = self.cats_int64s if self.cats_int64s is not None else self.cats_strings or ()
        if len(set(categories)) < len(categories):
            ctx.fail("a category is given twice")
        shape = None if data.shape is None else (*data.shape, len(categories))
        return (TensorInfo(dtypes.float32, shape),)

    def lowers(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and computable(dtype, "fiu") and self.cats_int64s is not None

    def lower(self, ctx: LowerContext) -> None:
        data, target = ctx.contiguous(0), ctx.output()
        categories = np.array(self.cats_int64s, np.int64)
        count = product(data.shape)
        kernel = CategoryRows(data.dtype, strict=not self.zeros)
        operands = [data, ctx.constant(categories if len(categories) else np.zeros(1, np.int64)), target]
        tasks = CategoryRows.tasks(count)
        ctx.call(kernel, operands, [count, len(categories)], tasks, count * (4 + len(categories)))

    def hosts(self, ctx: InferContext) -> bool:
        return self.cats_strings is not None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self.cats_strings or ())}

    def host(self, *values: Any) -> Sequence[Any]:
        x = np.asarray(values[0])
        get, count = self._places.get, len(self._places)
        places = np.array([get(item, -1) for item in x.reshape(-1).tolist()], np.intp)
        known = np.flatnonzero(places >= 0)
        if not self.zeros and len(known) < len(places):
            raise ValueError(f"{x.reshape(-1)[places < 0][0]!r} is none of the categories")
        result = np.zeros((len(places), count), np.float32)
        result[known, places[known]] = 1
        return [result.reshape(*x.shape, count)]


@op("CategoryMapper", "ai.onnx.ml")
class CategoryMapper(Op):
    """Strings to integers or integers to strings, whatever the input is not, by two lists of equal length."""

    cats_int64s: tuple[int, ...] | None = None
    cats_strings: tuple[str, ...] | None = None
    default_int64: int = -1
    default_string: str = "_Unused"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if self.cats_int64s is None or self.cats_strings is None or len(self.cats_int64s) != len(self.cats_strings):
            ctx.fail("cats_int64s and cats_strings must be given and have one length")
        results: dict[DType | None, DType] = {dtypes.string: dtypes.int64, dtypes.int64: dtypes.string}
        if data.dtype not in results:
            ctx.fail(f"the input must be string or int64, got {data.dtype}")
        return (TensorInfo(results[data.dtype], data.shape),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    @cached_property
    def _tables(self) -> tuple[_Table, _Table]:
        numbers, texts = np.array(self.cats_int64s, np.int64), np.array(self.cats_strings, object)
        return _Table(texts, numbers, self.default_int64), _Table(numbers, texts, self.default_string)

    def host(self, *values: Any) -> Sequence[Any]:
        x = np.asarray(values[0])
        return [self._tables[0 if x.dtype == object else 1].find(x)]
