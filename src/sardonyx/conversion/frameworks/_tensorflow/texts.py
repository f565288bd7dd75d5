"""Text processing of TensorFlow (what Keras's TextVectorization is made of) in ONNX's operators of strings.

tf2onnx leaves these nodes as they are unless it may use an extension of ONNX Runtime.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sardonyx.errors import ConversionError

__all__ = ["write_texts"]

_OPSET = 20
"""The first with StringSplit and StringConcat."""

_CHARACTERS = re.compile(r"\[(?:[^\]\\]|\\.)+\]")
"""A class of characters: what is deleted lies between tokens, whatever the expression's dialect."""


def write_texts(model: onnx.ModelProto, opset: int | None) -> list[str]:
    """Writes the nodes of the main graph that are known in operators of opset 20; gives notes of what was done.

    Raises ConversionError where an older ``opset`` is wished.
    """
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":  # every system has C, where TensorFlow's rule is the locale's
            node.attribute.append(helper.make_attribute("locale", "C"))
    rules: dict[str, Callable[[onnx.NodeProto, _Writer], bool]] = {
        "StaticRegexReplace": _deleted,
        "StringSplitV2": _split,
        "RaggedBincount": _counted,
    }
    nodes: list[onnx.NodeProto] = []
    notes = []
    for node in model.graph.node:
        writer = _Writer(node.name, model.graph)
        if node.op_type in rules and rules[node.op_type](node, writer):
            nodes += writer.nodes
            notes.append(f"{node.op_type} written with ONNX's operators")
        else:
            nodes.append(node)
    if not notes:
        return []
    if opset is not None and opset < _OPSET:
        raise ConversionError(f"the model needs opset {_OPSET}, whose StringSplit splits its text, not {opset}")
    made = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(made)
    for entry in model.opset_import:
        if entry.domain == "":  # what tf2onnx writes in opset 18 means the same in 20
            entry.version = max(entry.version, _OPSET)
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.ir_version = max(model.ir_version, 9)
    if any(node.op_type == "StringNormalizer" for node in model.graph.node):
        notes.append("StringLower changes letters of ASCII only; some engines' StringNormalizer those of all alphabets")
    return notes


class _Writer:
    """Makes nodes and constants of unused names."""

    def __init__(self, prefix: str, graph: onnx.GraphProto) -> None:
        self.prefix = prefix
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = f"{self.prefix}/constant_{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op_type: str, inputs: list[str], outputs: int | list[str] = 1, **attributes: Any) -> list[str]:
        name = f"{self.prefix}/{op_type}_{len(self.nodes)}"
        names = [f"{name}:{place}" for place in range(outputs)] if isinstance(outputs, int) else outputs
        self.nodes.append(helper.make_node(op_type, inputs, names, name, **attributes))
        return names

    def value(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self.node(op_type, list(inputs), **attributes)[0]


def _deleted(node: onnx.NodeProto, writer: _Writer) -> bool:
    """Deletes the characters of a class: the pieces between them, put together again one after the other."""
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    pattern = settings.get("pattern", b"").decode()
    if settings.get("rewrite", b"") or not settings.get("replace_global", 1) or not _CHARACTERS.fullmatch(pattern):
        return False
    flat = writer.value("Reshape", node.input[0], writer.constant([-1]))
    splitting = {"mark": 0, "mincharnum": 1, "pad_value": "", "separators": [pattern]}
    pieces = writer.value("Tokenizer", flat, domain="com.microsoft", **splitting)
    count = writer.value("Gather", writer.value("Shape", pieces), writer.constant(1))
    nothing = writer.value("Expand", writer.constant("", object), writer.value("Shape", flat))
    trip, go, text, joined, goes = (f"{writer.prefix}/{name}" for name in ("trip", "go", "text", "joined", "goes"))
    piece = f"{writer.prefix}/piece"
    body = helper.make_graph(
        [
            helper.make_node("Gather", [pieces, trip], [piece], axis=1),
            helper.make_node("StringConcat", [text, piece], [joined]),
            helper.make_node("Identity", [go], [goes]),
        ],
        "body",
        [
            helper.make_tensor_value_info(trip, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            helper.make_tensor_value_info(text, TensorProto.STRING, [None]),
        ],
        [
            helper.make_tensor_value_info(goes, TensorProto.BOOL, []),
            helper.make_tensor_value_info(joined, TensorProto.STRING, [None]),
        ],
    )
    whole = writer.node("Loop", [count, "", nothing], body=body)[0]
    writer.node("Reshape", [whole, writer.value("Shape", node.input[0])], list(node.output), allowzero=1)
    return True


def _split(node: onnx.NodeProto, writer: _Writer) -> bool:
    """Tokens between whitespace as a sparse matrix: their places, the tokens, and (rows, most tokens)."""
    separator = next((t for t in writer.graph.initializer if t.name == node.input[1]), None)
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if separator is None or numpy_helper.to_array(separator).reshape(-1).tolist() not in ([b""], [""]):
        return False
    if settings.get("maxsplit", -1) != -1:
        return False
    tokens, counts = writer.node("StringSplit", [node.input[0]], 2)
    most = writer.value("Gather", writer.value("Shape", tokens), writer.constant(1))
    places = writer.value("Range", writer.constant(0), most, writer.constant(1))
    there = writer.value("Less", places, writer.value("Unsqueeze", counts, writer.constant([1])))
    flat, everything = writer.constant([-1]), [*node.output, "", ""]
    if everything[0]:
        writer.node("Transpose", [writer.value("NonZero", there)], [everything[0]], perm=[1, 0])
    if everything[1]:
        taken = [writer.value("Reshape", tokens, flat), writer.value("Reshape", there, flat)]
        writer.node("Compress", taken, [everything[1]])
    if everything[2]:
        writer.node("Shape", [tokens], [everything[2]])
    return True


def _counted(node: onnx.NodeProto, writer: _Writer) -> bool:
    """How often each number below ``size`` is among each row's values, or whether it is."""
    splits, values, size, weights = node.input
    given = next((t for t in writer.graph.initializer if t.name == weights), None)
    if given is None or 0 not in given.dims:
        return False
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    zero, one, flat = writer.constant(0), writer.constant(1), writer.constant([-1])
    numbers, wide = (writer.value("Cast", v, to=TensorProto.INT64) for v in (values, size))
    ends = writer.value("Cast", writer.value("Slice", splits, writer.constant([1]), writer.constant([2**62])), to=7)
    places = writer.value("Range", zero, writer.value("Squeeze", writer.value("Shape", numbers)), one)
    before = writer.value("LessOrEqual", ends, writer.value("Unsqueeze", places, writer.constant([1])))
    rows = writer.value("ReduceSum", writer.value("Cast", before, to=7), writer.constant([1]), keepdims=0)
    below = writer.value("And", writer.value("Less", numbers, wide), writer.value("GreaterOrEqual", numbers, zero))
    cells = writer.value("Add", writer.value("Mul", rows, wide), numbers)
    chosen = writer.value("Compress", cells, below)
    shape = writer.value("Concat", writer.value("Shape", ends), writer.value("Reshape", wide, flat), axis=0)
    one_of = numpy_helper.from_array(np.ones(1, helper.tensor_dtype_to_np_dtype(given.data_type)))
    none_of = numpy_helper.from_array(np.zeros(1, helper.tensor_dtype_to_np_dtype(given.data_type)))
    empty = writer.value("Reshape", writer.value("ConstantOfShape", shape, value=none_of), flat)
    ones = writer.value("ConstantOfShape", writer.value("Shape", chosen), value=one_of)
    how = "max" if settings.get("binary_output") else "add"
    filled = writer.value("ScatterElements", empty, chosen, ones, reduction=how)
    writer.node("Reshape", [filled, shape], list(node.output), allowzero=1)
    return True
