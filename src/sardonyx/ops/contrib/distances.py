"""CDist: distances between the rows of two matrices."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("CDist", MICROSOFT)
class CDist(Composite):
    """The Euclidean distance of every row of A from every row of B, or its square."""

    inputs = (2, 2)
    metric: str = "sqeuclidean"

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        if self.metric not in ("euclidean", "sqeuclidean"):
            b.unsupported(f"metric {self.metric!r}; there are euclidean and sqeuclidean")
        difference = b.op("Sub", b.unsqueeze(b.of_rank(0, 2), 1), b.unsqueeze(b.of_rank(1, 2), 0))
        squares = b.op("ReduceSum", b.op("Mul", difference, difference), b.ints(2), keepdims=0)
        return (b.op("Sqrt", squares) if self.metric == "euclidean" else squares,)
