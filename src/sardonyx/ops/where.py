"""Selection: Where."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, known_equal

__all__: list[str] = []


@op("Where")
class Where(Elementwise):
    """a where the condition holds, b elsewhere."""

    required = 3
    same_dtype = (1, 2)

    def compute(self, *values: Value) -> Value:
        condition, a, b = values
        return a.b.select(condition, a, b)

    def symbolic(self, *values: Dim) -> Dim | None:
        condition, a, b = values
        if isinstance(condition, int):
            return a if condition else b
        return a if known_equal(a, b) else None

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        if ctx.input(0).dtype not in (None, dtypes.bool_):
            ctx.fail(f"input 0 (condition) must be bool, got {ctx.input(0).dtype}")
        return (ctx.input(1).dtype or ctx.input(2).dtype,)

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        return inputs[0] in (None, dtypes.bool_) and super().lowers(inputs)
