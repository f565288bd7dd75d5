"""Small models to begin with: every operator of onnx's backend suite, with and without its inputs as constants,
operators of com.microsoft, and what files may hold besides (external and sparse initializers, functions)."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ops.contrib.oracle import MICROSOFT, node_model, numbers

__all__ = ["WEIGHTS", "WEIGHTS_FILE", "seeds"]

LARGEST_SEED = 16384
EACH = 4
"""Models of one operator of the suite."""
WEIGHTS_FILE = "weights.bin"
WEIGHTS = np.arange(256, dtype=np.float32).tobytes()


@cache
def seeds() -> list[bytes]:
    """In a fixed order, no two alike."""
    found = {data: None for model in _models() if len(data := model.SerializeToString()) <= LARGEST_SEED}
    return list(found)


def _models() -> Iterator[onnx.ModelProto]:
    yield from _suite()
    yield from _microsoft()
    yield _external()
    yield _sparse()
    yield _function()


def _suite() -> Iterator[onnx.ModelProto]:
    """A few of each operator and of each composition of operators."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        cases = [case for case in load_model_tests(kind="node") if case.model is not None]
    random.Random(0).shuffle(cases)
    taken: dict[tuple[str, ...], int] = {}
    for case in cases:
        kinds = tuple(sorted({node.op_type for node in case.model.graph.node}))
        taken[kinds] = taken.get(kinds, 0) + 1
        if taken[kinds] > EACH:
            continue
        yield case.model
        if case.data_sets:
            yield with_constants(case.model, case.data_sets[0][0])


def with_constants(model: onnx.ModelProto, values: Sequence[Any]) -> onnx.ModelProto:
    """The model with its integer and text inputs (shapes, axes, indices, words) as initializers."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    for value, content in zip(model.graph.input, values, strict=False):
        if isinstance(content, TensorProto):
            content = numpy_helper.to_array(content)
        if isinstance(content, np.ndarray) and content.dtype.kind in "iubOSU":
            made.graph.initializer.append(numpy_helper.from_array(content, value.name))
    constant = {tensor.name for tensor in made.graph.initializer}
    kept = [value for value in made.graph.input if value.name not in constant]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    return made


def _microsoft() -> Iterator[onnx.ModelProto]:
    x, w, b = numbers(2, 3, 8), numbers(8, 8), numbers(8)
    scale, zero = np.array(0.1, np.float32), np.array(3, np.uint8)
    q, qw = numbers(2, 8, dtype=np.uint8, low=0, high=255), numbers(8, 4, dtype=np.uint8, low=0, high=255)
    words = numbers(2, 3, dtype=np.int32, low=0, high=8)
    cache_ = numbers(2, 2, 4, 4)
    nodes: list[tuple[str, list[Any], dict[str, Any], int]] = [
        ("Gelu", [x], {}, 1),
        ("BiasGelu", [x, b], {}, 1),
        ("FusedMatMul", [x, w], {"transB": 1, "alpha": 0.5}, 1),
        ("FusedGemm", [x[0], w, b], {"activation": "Relu"}, 1),
        ("FusedConv", [numbers(1, 2, 5, 5), numbers(3, 2, 3, 3)], {"activation": "Relu"}, 1),
        ("Attention", [x, numbers(8, 24), numbers(24)], {"num_heads": 2}, 1),
        ("MultiHeadAttention", [x, x, x], {"num_heads": 2}, 1),
        ("GroupQueryAttention", [numbers(2, 1, 8), numbers(2, 1, 8), numbers(2, 1, 8), cache_, cache_,
            np.array([3, 2], np.int32), np.array(4, np.int32)], {"num_heads": 2, "kv_num_heads": 2}, 3),
        ("RotaryEmbedding", [x, np.array([[0, 1, 2]] * 2), numbers(4, 2), numbers(4, 2)], {"num_heads": 2}, 1),
        ("SkipLayerNormalization", [x, x, b, b], {}, 1),
        ("SimplifiedLayerNormalization", [x, b], {}, 1),
        ("EmbedLayerNormalization", [words, words, w, w, w, b, b], {}, 2),
        ("GroupNorm", [numbers(1, 4, 4, 8), b, b], {"groups": 4, "activation": 0}, 1),
        ("QuantizeLinear", [x, scale, zero], {}, 1),
        ("DequantizeLinear", [q, scale, zero], {}, 1),
        ("QLinearAdd", [q, scale, zero, q, scale, zero, scale, zero], {}, 1),
        ("QGemm", [q, scale, zero, qw, scale, zero, None, scale, zero], {}, 1),
        ("QLinearConcat", [scale, zero, q, scale, zero, q, scale, zero], {"axis": 0}, 1),
        ("QLinearAveragePool", [q.reshape(1, 1, 4, 4), scale, zero, scale, zero], {"kernel_shape": [2, 2]}, 1),
        ("MatMulIntegerToFloat", [q, qw, scale, scale], {}, 1),
        ("DynamicQuantizeMatMul", [x, qw, scale], {}, 1),
        ("MatMulNBits", [numbers(2, 32), numbers(4, 2, 8, dtype=np.uint8, low=0, high=255), numbers(8)],
            {"K": 32, "N": 4, "bits": 4, "block_size": 16}, 1),
        ("Trilu", [x, np.array(1)], {}, 1),
        ("Pad", [x, np.array([0, 1, 0, 0, 0, 2])], {}, 1),
        ("Range", [np.array(0), np.array(5), np.array(2)], {}, 1),
        ("GatherND", [x, np.array([[0, 1], [1, 2]])], {}, 1),
        ("Unique", [b], {}, 3),
        ("GridSample", [numbers(1, 1, 4, 4), numbers(1, 2, 2, 2)], {}, 1),
        ("UnfoldTensor", [x], {"dim": 2, "size": 3, "step": 2}, 1),
        ("CropAndResize", [numbers(1, 2, 6, 6), numbers(2, 4), np.array([0, 0], np.int32), np.array([3, 3])], {}, 1),
        ("MurmurHash3", [words], {}, 1),
        ("Tokenizer", [np.array(["a b", "c"], object)], {"mark": 1, "mincharnum": 1, "pad_value": "#",
            "separators": [" "]}, 1),
        ("CDist", [w, w], {"metric": "euclidean"}, 1),
        ("BiasSoftmax", [x, x], {"axis": 2, "is_inner_broadcast": 0}, 1),
        ("Inverse", [w], {}, 1),
        ("ConvTransposeWithDynamicPads", [numbers(1, 2, 4, 4), numbers(2, 1, 3, 3), np.array([1, 1, 1, 1])], {}, 1),
        ("NhwcMaxPool", [q.reshape(1, 4, 4, 1)], {"kernel_shape": [2, 2]}, 1),
    ]  # fmt: skip
    for op, arrays, attributes, outputs in nodes:
        constants = {k for k, array in enumerate(arrays) if array is not None and k > 0}
        for constant in (set(), constants):
            yield node_model(op, arrays, attributes, outputs=(True,) * outputs, domain=MICROSOFT, constant=constant)


def _model(nodes: Sequence[onnx.NodeProto], **parts: Any) -> onnx.ModelProto:
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    functions = parts.pop("functions", [])
    graph = helper.make_graph(nodes, "seed", [port], [result], **parts)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions)


def _external() -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[8, 4], data_location=TensorProto.EXTERNAL)
    for key, text in (("location", WEIGHTS_FILE), ("offset", "64"), ("length", "128")):
        weight.external_data.add(key=key, value=text)
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], initializer=[weight])


def _sparse() -> onnx.ModelProto:
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    indices = numpy_helper.from_array(np.array([0, 9, 31]), "w_indices")
    weight = helper.make_sparse_tensor(values, indices, [8, 4])
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], sparse_initializer=[weight])


def _function() -> onnx.ModelProto:
    inner = [
        helper.make_node("ReduceMax", ["a"], ["m"], keepdims=0),
        helper.make_node("LeakyRelu", ["a"], ["r"]),
        helper.make_node("Mul", ["r", "m"], ["b"]),
    ]
    inner[1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function("own", "Scaled", ["a"], ["b"], inner, [helper.make_opsetid("", 21)], ["slope"])
    nodes = [
        helper.make_node("Scaled", ["x"], ["z"], domain="own", slope=0.1),
        helper.make_node("Scaled", ["z"], ["y"], domain="own", slope=0.2),
    ]
    return _model(nodes, functions=[function])
