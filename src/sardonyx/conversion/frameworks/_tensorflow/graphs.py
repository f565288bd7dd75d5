"""A function of tensors to ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from sardonyx.conversion.framework import Trace
from sardonyx.conversion.frameworks._tensorflow.handlers import HANDLERS, counted
from sardonyx.conversion.frameworks._tensorflow.packages import complaints, import_tensorflow
from sardonyx.conversion.frameworks._tensorflow.repairs import at_opset, check_operators, first_opset, name_sizes
from sardonyx.conversion.frameworks._tensorflow.texts import write_texts
from sardonyx.conversion.frameworks._tensorflow.trace import tracer
from sardonyx.conversion.source import Request

__all__ = ["Function", "Graph", "arrays_of", "notes_of", "texts", "to_onnx"]

NEWEST = 18
"""The newest opset that tf2onnx writes."""

_COARSE = 1e-2
"""The relative tolerance where TensorFlow takes weights from a table of 1024 places (bicubic Resize)."""


@dataclass(frozen=True)
class Function:
    """A function of flat tensors that gives a flat list of tensors.

    ``inputs`` are TensorSpecs with names; ``outputs`` names what it gives. ``owner`` holds its variables and tables.
    """

    call: Callable[..., Sequence[Any]]
    inputs: Sequence[Any]
    outputs: Sequence[str]
    owner: Any = None

    def reference(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """TensorFlow's own answer, as arrays by output name."""
        tensorflow = import_tensorflow()
        given = [tensorflow.constant(arrays_of(feeds[spec.name], spec.dtype), spec.dtype) for spec in self.inputs]
        found = [texts(tensor.numpy()) for tensor in self.call(*given)]
        return dict(zip(self.outputs, found, strict=True))


@dataclass(frozen=True)
class Graph:
    """A model, its source's inner values, and what was repaired in it."""

    model: onnx.ModelProto
    trace: Trace
    notes: list[str]
    tolerance: float | None = None


def to_onnx(function: Function, request: Request, describe: Callable[[str], str]) -> Graph:
    """Freezes a function and converts it. ``describe`` says for a node's name which part of the source it comes
    from."""
    tensorflow = import_tensorflow()
    opset = first_opset(request.opset, NEWEST)
    counts: Counter[str] = Counter()
    with complaints() as failures:
        from tf2onnx import convert, tf_loader

        traced = tensorflow.function(lambda *tensors: list(function.call(*tensors)), autograph=False)
        concrete = traced.get_concrete_function(*function.inputs)
        inputs = [tensor.name for tensor in concrete.inputs[: len(function.inputs)]]  # the rest is captured
        outputs = [tensor.name for tensor in concrete.outputs]
        shapes = [tensor.shape for tensor in concrete.outputs]
        frozen, tables = tf_loader.from_trackable(function.owner, concrete, inputs, outputs, False)
        frozen = _without_calls(frozen, inputs, outputs)
        names = dict(zip([*inputs, *outputs], [*(s.name for s in function.inputs), *function.outputs], strict=True))
        with tensorflow.device("/cpu:0"):
            model, _ = convert._convert_common(
                frozen,
                name="model",
                continue_on_error=True,
                opset=opset,
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=names,
                initialized_tables=tables,
                custom_op_handlers=counted(counts, tables),
            )
    notes = [*notes_of(counts), *write_texts(model, request.opset)]
    check_operators(model, failures, describe)
    given = {spec.name: spec.shape for spec in function.inputs}
    name_sizes(model, given, dict(zip(function.outputs, shapes, strict=True)))
    model = at_opset(model, request.opset)
    coarse = _COARSE if counts["ResizeBicubic"] else None
    return Graph(model, tracer(frozen, names, model), notes, coarse)


def _without_calls(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The graph with the functions written out that are kept for XLA (convolutions of several groups in Keras)."""
    import tensorflow
    from tf2onnx import tf_loader

    if not any(node.op in ("PartitionedCall", "StatefulPartitionedCall") for node in graph.node):
        return graph
    functions = graph.library.function
    for holder in (*graph.node, *functions, *(node for function in functions for node in function.node_def)):
        for key in ("_XlaMustCompile", "_noinline"):
            if key in holder.attr:
                del holder.attr[key]
    with tensorflow.Graph().as_default():
        return tf_loader.tf_optimize(list(inputs), list(outputs), graph)


def notes_of(counts: Counter[str]) -> list[str]:
    """What the handlers did, for people."""
    return [f"{count} {(HANDLERS[key].__doc__ or key).strip()}" for key, count in counts.items()]


def arrays_of(value: Any, dtype: Any) -> Any:
    """A value as an array that TensorFlow takes for this type."""
    return value if dtype.name == "string" else np.asarray(value).astype(dtype.as_numpy_dtype, copy=False)


def texts(array: Any) -> Any:
    """TensorFlow's strings are bytes, ONNX's are UTF-8 text."""
    if array.dtype.kind not in "OS":
        return array
    decoded = [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in array.reshape(-1)]
    return np.asarray(decoded, object).reshape(array.shape)
