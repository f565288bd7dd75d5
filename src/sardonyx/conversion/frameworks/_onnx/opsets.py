"""A model in another opset.

Most nodes mean the same in both versions and stay as they are; which do is known from the upgrade of nodes
(``graph/upgrade``). Going up, a model with others is read, which upgrades every node to the newest version, and written
in the version that was asked for. Going down, ``older`` undoes the steps. What neither can do is left to
``onnx.version_converter``; when that has no adapter either, the error names the operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.inliner
import onnx.version_converter
from onnx import defs

from sardonyx.compiler.saving import model_proto
from sardonyx.conversion.frameworks._onnx.loading import graphs_in, nodes_in, read_names, without_constant_inputs
from sardonyx.conversion.frameworks._onnx.older import STEPS_BACK, CannotExpress, Surroundings
from sardonyx.errors import ConversionError, SardonyxError
from sardonyx.graph.model import Model
from sardonyx.graph.order import node_label
from sardonyx.graph.reader import read_model
from sardonyx.graph.schema import Schema, current_opset, find_schema, first_version
from sardonyx.graph.upgrade import is_current, steps

__all__ = ["lowest_opset", "opset_of", "rewritten", "with_opset"]

_SMALL = 1 << 16
_SOFTMAX_CHANGED = 13
_SHOWN = 5


class _Blocked(Exception):
    """The nodes that cannot be in the opset, with reasons."""


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ai.onnx that a model imports; 1 where it says nothing."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A model that means the same in another version of ai.onnx.

    Raises ConversionError with the operators that this version cannot express, and for a version that does not exist.
    """
    if not 1 <= opset <= current_opset(""):
        raise ConversionError(f"opset {opset} of ai.onnx is not known; there are 1 to {current_opset('')}")
    if opset == opset_of(model):
        return model
    reasons = ""
    roads: list[Callable[[], onnx.ModelProto]] = [lambda: _relabelled(model, opset)]
    if opset > opset_of(model):
        roads.append(lambda: _relabelled(rewritten(model), opset))
    roads.append(lambda: _adapted(model, opset))
    for road in roads:
        try:
            return road()
        except _Blocked as error:
            reasons = reasons or str(error)
        except SardonyxError as error:
            reasons = reasons or str(error)
    raise ConversionError(f"the model cannot be written in opset {opset}: {reasons}")


def lowest_opset(model: onnx.ModelProto, at_least: int) -> onnx.ModelProto:
    """A model of the newest opset in the lowest one, from ``at_least`` on, that can express it."""
    for opset in range(at_least, opset_of(model)):
        try:
            return _relabelled(model, opset)
        except _Blocked:
            continue
    return model


def rewritten(model: onnx.ModelProto, change: Callable[[Model], object] | None = None) -> onnx.ModelProto:
    """A model read, with every node of ai.onnx upgraded to the newest version, changed, and written again.

    Operators of other domains pass through as they are. Raises ConversionError where a node cannot be upgraded.
    """
    read = read_model(model, custom_ops=_others(model))
    stuck = [node for node in read.graph.all_nodes() if node.domain == "" and not is_current(node)]
    if stuck:
        raise ConversionError(
            f"{stuck[0].op_type} {stuck[0].name or stuck[0].outputs[0].name!r} of opset {stuck[0].version} has no form "
            "in the newest one"
        )
    if change is not None:
        change(read)
    made = model_proto(read)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for entry in made.opset_import:
        if entry.domain != "":
            entry.version = versions.get(entry.domain, 1)
    _name_apart(made)
    return made


def _name_apart(model: onnx.ModelProto) -> None:
    """Some engines refuse two nodes of one name."""
    taken: set[str] = set()
    for node in nodes_in(model):
        if node.name in taken:
            node.name = next(n for i in range(2, len(taken) + 3) if (n := f"{node.name}_{i}") not in taken)
        taken |= {node.name} - {""}


def _adapted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """By onnx's own adapters, where the result holds."""
    try:
        made = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # an adapter that is missing, or what one asserts
        raise _Blocked(f"onnx.version_converter: {error}") from error
    onnx.helper.set_model_props(made, {entry.key: entry.value for entry in model.metadata_props})
    read_model(made, custom_ops=_others(made))
    return made


def _relabelled(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same nodes under another version, those changed that were written differently in an older one."""
    made = onnx.ModelProto()
    made.CopyFrom(onnx.inliner.inline_local_functions(model) if model.functions else model)
    without_constant_inputs(made)
    before = opset_of(made)
    ranks = _ranks(made) if opset < _SOFTMAX_CHANGED <= before else {}
    reasons: list[str] = []
    around = Surroundings({}, {})
    for graph in graphs_in(made.graph):
        around = Surroundings({**around.constants, **_constants(graph)}, ranks, around.taken)
        for node in graph.node:
            if node.domain in ("", "ai.onnx"):
                try:
                    _move(node, before, opset, around)
                except CannotExpress as error:
                    reasons.append(f"{node.op_type}: {node_label(node)}: {error}")
    if reasons:
        more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        raise _Blocked("; ".join(reasons[:_SHOWN]) + more)
    _drop_unused(made.graph, around.taken)
    others = [entry for entry in made.opset_import if entry.domain not in ("", "ai.onnx")]
    del made.opset_import[:]
    made.opset_import.extend([onnx.helper.make_opsetid("", opset), *others])
    made.ir_version = max(made.ir_version, _ir_version(made))
    try:
        read_model(made, custom_ops=_others(made))
    except SardonyxError as error:  # a type that the version did not take yet
        raise _Blocked(str(error).removeprefix("<model>: ")) from error
    return made


def _others(model: onnx.ModelProto) -> frozenset[tuple[str, str]]:
    """The operators of other domains, which are none of ours."""
    own = {(function.domain, function.name) for function in model.functions}
    return frozenset((n.domain, n.op_type) for n in nodes_in(model) if n.domain not in ("", "ai.onnx")) - own


def _ir_version(model: onnx.ModelProto) -> int:
    return int(onnx.helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True))


def _move(node: onnx.NodeProto, before: int, after: int, around: Surroundings) -> None:
    old, new = find_schema("", node.op_type, before), find_schema("", node.op_type, after)
    if old is None:
        return  # ONNX Runtime's early operators, whose version the file cannot say
    if new is None:
        raise CannotExpress(f"it exists since opset {first_version('', node.op_type)}")
    if after > before and defs.get_schema(node.op_type, after, "").deprecated:
        raise CannotExpress(f"it no longer exists in opset {after}")
    low, high = sorted((old.version, new.version))
    crossed = [version for version in steps("", node.op_type) if low < version <= high]
    for version in sorted(crossed, reverse=True):
        back = STEPS_BACK.get((node.op_type, version))
        if after > before or back is None:
            raise CannotExpress(f"opset {version} changed its meaning")
        back(node, around)
    if node.op_type == "Reshape":
        _drop_needless_allowzero(node, around)
    _conform(node, before, new)


def _drop_needless_allowzero(node: onnx.NodeProto, around: Surroundings) -> None:
    shape = around.constants.get(node.input[1]) if len(node.input) > 1 else None
    if shape is not None and shape.all():
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


def _conform(node: onnx.NodeProto, before: int, new: Schema) -> None:
    """Drops attributes that say what the version implies; raises CannotExpress for others that it lacks."""
    defaults = defs.get_schema(node.op_type, before, "").attributes
    kept = []
    for attribute in node.attribute:
        if attribute.name in new.attributes:
            kept.append(attribute)
        elif attribute.name not in defaults or not _same(attribute, defaults[attribute.name].default_value):
            raise CannotExpress(f"its attribute {attribute.name} is not known then")
    del node.attribute[:]
    node.attribute.extend(kept)
    while node.input and not node.input[-1] and len(node.input) > new.min_inputs:
        node.input.pop()
    if len(node.input) > new.max_inputs or len(node.output) > new.max_outputs:
        raise CannotExpress(f"it has {len(node.input)} inputs and {len(node.output)} outputs")


def _same(attribute: onnx.AttributeProto, default: onnx.AttributeProto) -> bool:
    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    return bool(onnx.helper.get_attribute_value(attribute) == onnx.helper.get_attribute_value(default))


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    """Small constants by name; large ones are weights, which no attribute holds."""
    found = {t.name: t for t in graph.initializer if int(np.prod(t.dims)) <= _SMALL}
    for node in graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return {name: onnx.numpy_helper.to_array(tensor) for name, tensor in found.items()}


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Ranks of values, as far as the file or onnx's inference knows them."""
    known = {}
    for graph in graphs_in(onnx.shape_inference.infer_shapes(model).graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.HasField("shape"):
                known[value.name] = len(value.type.tensor_type.shape.dim)
    return known


def _drop_unused(graph: onnx.GraphProto, names: set[str]) -> None:
    """Removes the constants that became attributes, unless somebody else reads them."""
    names = names - read_names(graph)
    for inner in graphs_in(graph):
        for held in (inner.initializer, inner.node):
            kept = [e for e in held if (e.name if isinstance(e, onnx.TensorProto) else e.output[0]) not in names]
            if len(kept) < len(held):
                del held[:]
                held.extend(kept)
