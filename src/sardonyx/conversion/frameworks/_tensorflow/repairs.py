"""What is put right in a model that tf2onnx wrote: names, sizes, opset; and what cannot be, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import onnx

from sardonyx.errors import ConversionError
from sardonyx.ops.registry import foreign_operators

__all__ = ["at_opset", "check_operators", "first_opset", "name_sizes", "valid_names"]

_MOST_NAMED = 8
_OLDEST = 11
BATCH = "batch"


def check_operators(model: onnx.ModelProto, failures: Mapping[str, str], describe: Callable[[str], str]) -> None:
    """Raises ConversionError for operators that ONNX does not have, with the part of the source that they come from.

    ``failures`` are tf2onnx's own complaints by node name.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    found: Counter[str] = Counter()
    for node in _nodes(model.graph):
        if not _is_operator(node, versions.get(node.domain, 1)) or node.name in failures:
            reason = failures.get(node.name, "")
            found[f"{node.op_type} of {describe(node.name)}{f' ({reason})' if reason else ''}"] += 1
    if not found:
        return
    shown = "; ".join(list(found)[:_MOST_NAMED]) + ("; ..." if len(found) > _MOST_NAMED else "")
    raise ConversionError(
        f"tf2onnx has no ONNX form for: {shown}. Replace that part by layers or functions that ONNX can express, or "
        "cut the model before it and do that step outside"
    )


def _is_operator(node: onnx.NodeProto, version: int) -> bool:
    """Whether a node is one of ONNX's. What tf2onnx leaves half converted has an operator's name, but not its form."""
    if (node.domain, node.op_type) in foreign_operators():
        return True
    if not onnx.defs.has(node.op_type, version, node.domain):
        return False
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    inputs = schema.min_input <= len(node.input) <= schema.max_input
    return inputs and all(attribute.name in schema.attributes for attribute in node.attribute)


def name_sizes(model: onnx.ModelProto, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Gives the model's inputs and outputs TensorFlow's shapes: the first unknown axis is the batch, others are named
    after the value they belong to."""
    for values, shapes in ((model.graph.input, inputs), (model.graph.output, outputs)):
        for value in values:
            shape = shapes.get(value.name)
            if shape is None or shape.rank is None:
                continue
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for axis, size in enumerate(shape):
                dim = dims.add()
                if size is not None:
                    dim.dim_value = size
                else:
                    dim.dim_param = BATCH if axis == 0 else f"{value.name}_dim{axis}"
    del model.graph.value_info[:]  # of sizes under other names


def at_opset(model: onnx.ModelProto, opset: int | None) -> onnx.ModelProto:
    """The model at a newer opset than tf2onnx writes, where that is wished."""
    current = next(entry.version for entry in model.opset_import if entry.domain == "")
    if opset is None or opset <= current:
        return model
    try:
        return onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # of all kinds, from C++
        raise ConversionError(f"the model cannot be brought from opset {current} to {opset}: {error}") from error


def first_opset(wanted: int | None, newest: int) -> int:
    """The opset that tf2onnx is asked for; what is newer than it knows is reached by ``at_opset``."""
    if wanted is not None and wanted < _OLDEST:
        raise ConversionError(f"opset {wanted} cannot express what TensorFlow does; ask for {_OLDEST} or newer")
    return min(wanted or newest, newest)


def valid_names(names: list[str], taken: Collection[str] = ()) -> list[str]:
    """Distinct names, none of which is taken."""
    made: list[str] = []
    for name in names:
        count, unique = 1, name
        while unique in made or unique in taken:
            unique, count = f"{name}_{count}", count + 1
        made.append(unique)
    return made


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
