"""Broadcasting before opset 7: the second operand was laid along an axis of the first."""

from __future__ import annotations

import onnx_ir as ir

from sardonyx.graph.emit import Emitter, replace_inputs
from sardonyx.graph.upgrade.helpers import input_at, known_rank, ones, rank_of, take
from sardonyx.graph.upgrade.registry import upgrade


@upgrade("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less", before=7)
def align_to_axis(node: ir.Node, emit: Emitter) -> None:
    """With an axis, B gets trailing sizes of one; without, the suffixes match as they do in numpy."""
    axis = take(node, "axis")
    if not take(node, "broadcast", 0) or axis is None:
        return
    first, second = input_at(node, 0), input_at(node, 1)
    replace_inputs(node, [first, _with_trailing_ones(first, second, axis, emit)])


def _with_trailing_ones(first: ir.Value, second: ir.Value, axis: int, emit: Emitter) -> ir.Value:
    """``second`` with as many sizes of one after its own as ``first`` has axes behind ``axis + rank(second)``.

    The count is never negative, for a B of one element and a rank that reaches past the end of A.
    """
    ranks = known_rank(first), known_rank(second)
    if ranks[0] is not None and ranks[1] is not None:
        count = ranks[0] - (axis if axis >= 0 else axis + ranks[0]) - ranks[1]
        if count <= 0:
            return second
        tail = emit.ints([1] * count, "ones")
    else:
        after = emit.ints([-axis], "axis")
        if axis >= 0:
            after = emit.op("Sub", rank_of(first, emit), emit.ints([axis], "axis"))
        missing = emit.op("Sub", after, rank_of(second, emit))
        tail = ones(emit.op("Max", missing, emit.ints([0])), emit)
    return emit.op("Reshape", second, emit.op("Concat", emit.op("Shape", second), tail, axis=0), allowzero=1)


@upgrade("PRelu", before=7)
def prelu_slope_per_channel(node: ir.Node, emit: Emitter) -> None:
    """A vector of slopes belonged to axis 1; now it must line up as numpy has it."""
    data, slope = input_at(node, 0), input_at(node, 1)
    rank = known_rank(data)
    if rank is not None:
        shape = emit.ints([-1] + [1] * max(0, rank - 2), "shape")
    else:
        count = emit.op("Max", emit.op("Sub", rank_of(data, emit), emit.ints([2])), emit.ints([0]))
        shape = emit.op("Concat", emit.ints([-1]), ones(count, emit), axis=0)
    replace_inputs(node, [data, emit.op("Reshape", slope, shape)])


@upgrade("Gemm", before=7)
def drop_broadcast(node: ir.Node, emit: Emitter) -> None:
    """C always broadcasts to A B since version 7."""
    take(node, "broadcast")
