"""Constant folding: nodes whose inputs are all constants are computed once, here."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from sardonyx.errors import SardonyxError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.nested import graphs_of
from sardonyx.ops.base import Op
from sardonyx.ops.inference import GraphInfo, declared_info
from sardonyx.ops.lowered import is_hosted
from sardonyx.passes.branches import splice, taken_branch
from sardonyx.passes.rewriting import Rewriter, is_op, is_random

__all__ = ["fold_constants", "fold_weights"]

_IMPLEMENTATIONS = ("onnx.reference.op_run", "onnx.reference.ops")
MAX_GROWTH = 4 << 20
"""Bytes by which a folded result may be larger than the constants it is computed from (a ConstantOfShape is better
computed when it is needed)."""


def fold_constants(rewriter: Rewriter) -> None:
    """Replaces nodes by their results where all inputs are constants and the result is not much larger than these,
    values whose contents inference knows by constants, and an If whose condition is constant by its branch.

    Constants stay quantised: integer products take them as they are.
    """
    info = declared_info(rewriter.graph)
    rewriter.adopt(info)
    _fold(rewriter, info, kept=("DequantizeLinear",))


def fold_weights(rewriter: Rewriter) -> None:
    """Folds dequantised constants, and what follows from them."""
    if any(is_op(node, "DequantizeLinear") and _all_constant(rewriter, node) for node in rewriter.graph.all_nodes()):
        info = declared_info(rewriter.graph)
        rewriter.adopt(info)
        _fold(rewriter, info)


def _all_constant(rewriter: Rewriter, node: ir.Node) -> bool:
    return all(value is None or rewriter.const(value) is not None for value in node.inputs)


def _fold(rewriter: Rewriter, info: GraphInfo, kept: Sequence[str] = ()) -> None:
    pending = deque(rewriter.graph)
    while pending:
        node = pending.popleft()
        info.add_node(node)  # in step with folding, so that each node sees the constants found before it
        branch = taken_branch(rewriter, node)
        if branch is not None:
            pending.extendleft(reversed(splice(rewriter, node, branch)))
            continue
        for graph in graphs_of(node):
            nested = rewriter.inside(graph)
            if nested.is_inferred:
                _fold(nested, info, kept)
                rewriter.changes += nested.changes
        if is_random(node) or is_op(node, *kept) or any(v.is_graph_output() for v in node.outputs):
            continue
        known = [_known(rewriter.of(value)) if value.name else None for value in node.outputs]
        if known and all(array is not None for array in known):
            _replace(rewriter, node, known)
            continue
        constants = [rewriter.const(value) for value in node.inputs]
        if any(value is not None and array is None for value, array in zip(node.inputs, constants, strict=True)):
            continue
        if not _fits(rewriter, node, sum(array.nbytes for array in constants if array is not None)):
            continue
        if is_hosted(node, info):
            results = _by_record(rewriter, node, info.records[node], constants)
        else:
            results = _evaluate(rewriter, node, constants)
        if results is not None:
            _replace(rewriter, node, results)


def _known(info: TensorInfo) -> Any:
    if info.values is None or info.shape is None or info.dtype is None:
        return None
    if not all(isinstance(v, int) for v in info.values) or not all(isinstance(d, int) for d in info.shape):
        return None
    return np.array(info.values, info.dtype.numpy).reshape(tuple(int(d) for d in info.shape if isinstance(d, int)))


def _fits(rewriter: Rewriter, node: ir.Node, given: int) -> bool:
    """Whether the outputs have known sizes of which the sum is not much above the inputs'."""
    total = 0
    for value in node.outputs:
        info = rewriter.of(value)
        if info.dtype is None or info.shape is None or not all(isinstance(d, int) for d in info.shape):
            return False
        size = info.dtype.itemsize
        for d in info.shape:
            size *= int(d) if isinstance(d, int) else 1
        total += size
    return total <= 2 * given + MAX_GROWTH


def _evaluate(rewriter: Rewriter, node: ir.Node, constants: list[Any]) -> list[Any] | None:
    """The outputs by onnx's reference implementation; None where it cannot."""
    if graphs_of(node) or is_op(node, "Constant"):
        return None
    from onnx.reference import ReferenceEvaluator

    proto = ir.to_proto(node)
    feeds = {v.name: c for v, c in zip(node.inputs, constants, strict=True) if v is not None and v.name}
    wanted = [v.name for v in node.outputs if v.name]
    graph = onnx.helper.make_graph(
        [proto], "fold", [onnx.ValueInfoProto(name=n) for n in feeds], [onnx.ValueInfoProto(name=n) for n in wanted]
    )
    imports = [onnx.helper.make_opsetid(node.domain, rewriter.info.opset(node))]
    model = onnx.helper.make_model(graph, opset_imports=imports)
    try:
        results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:
        if not _by_operator(error):
            raise
        return None  # left for the run, where the failure belongs and is reported
    by_name = dict(zip(wanted, results, strict=True))
    return _typed(rewriter, node, [by_name.get(v.name or "") for v in node.outputs])


def _by_record(rewriter: Rewriter, node: ir.Node, record: Op | None, constants: list[Any]) -> list[Any] | None:
    """The outputs by our own computation on Python objects; None where the values are bad or the outputs no tensors."""
    if record is None or graphs_of(node):
        return None
    try:
        results = record.host(*constants)
    except (SardonyxError, ValueError, OverflowError, MemoryError):
        return None  # left for the run
    return _typed(rewriter, node, [*results, *[None] * len(node.outputs)][: len(node.outputs)])


def _typed(rewriter: Rewriter, node: ir.Node, outputs: list[Any]) -> list[Any] | None:
    """The outputs where they are tensors of the types that the node gives."""
    if not all(r is None or isinstance(r, (np.ndarray, np.generic)) for r in outputs):
        return None
    for value, result in zip(node.outputs, outputs, strict=True):
        dtype = rewriter.of(value).dtype
        if result is None or dtype is None or np.asarray(result).dtype != dtype.numpy:
            return None
    return outputs


def _by_operator(error: BaseException) -> bool:
    """Whether onnx's implementation of an operator raised it, be it for what the model asks or for lack of memory, or
    there is no implementation. Anything else says that the model made here of the node is wrong."""
    if isinstance(error, NotImplementedError | MemoryError):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = any(frame.f_globals.get("__name__", "").startswith(_IMPLEMENTATIONS) for frame in frames)
    return inside or (error.__cause__ is not None and _by_operator(error.__cause__))


def _replace(rewriter: Rewriter, node: ir.Node, results: list[Any]) -> None:
    for value, result in zip(node.outputs, results, strict=True):
        if value.uses() and result is not None:
            rewriter.replace(value, rewriter.initializer(np.asarray(result), f"{value.name}_folded"))
    rewriter.remove(node)
