"""Nodes with example inputs, for tests of inference and of results against onnx's reference implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.compose
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]
OPSET = 23


@dataclass
class Case:
    """One node. ``constant`` inputs become initializers; the sizes of the others are symbols of their own."""

    op: str
    inputs: Sequence[Array | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constant: Sequence[int] = ()
    outputs: int = 1
    label: str = ""
    opset: int = OPSET
    domain: str = ""

    def __str__(self) -> str:
        return f"{self.op}-{self.label}" if self.label else self.op

    def model(self, *, symbolic: bool = True, prefix: str = "") -> onnx.ModelProto:
        """The node as a model; sizes of inputs that are not constant are symbols (named with ``prefix``) or numbers."""
        names = [f"x{k}" if array is not None else "" for k, array in enumerate(self.inputs)]
        while names and not names[-1]:
            names.pop()
        outputs = [f"y{k}" for k in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, name="node", domain=self.domain, **self.attributes)
        inputs, initializers = [], []
        for k, array in enumerate(self.inputs):
            if array is None:
                continue
            if k in self.constant:
                initializers.append(onnx.numpy_helper.from_array(array, f"x{k}"))
                continue
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            shape = [f"{prefix}d{k}_{axis}" for axis in range(array.ndim)] if symbolic else list(array.shape)
            inputs.append(helper.make_tensor_value_info(f"x{k}", kind, shape))
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph([node], "case", inputs, results, initializers)
        imports = [helper.make_opsetid("", self.opset)]
        if self.domain:
            imports.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def feeds(self) -> dict[str, Array]:
        """The inputs of the model."""
        return {f"x{k}": a for k, a in enumerate(self.inputs) if a is not None and k not in self.constant}

    def expected(self) -> list[Array]:
        model = self.model()
        for output in model.graph.output:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
        return [np.asarray(y) for y in ReferenceEvaluator(model).run(None, self.feeds())]


def combined(cases: Sequence[Case], *, symbolic: bool = True) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Cases of one opset as one model, which compiles in a fraction of the time, and its inputs.

    Outputs come case by case.
    """
    models = [
        onnx.compose.add_prefix(case.model(symbolic=symbolic, prefix=f"c{k}_"), f"c{k}_", rename_edges=True)
        for k, case in enumerate(cases)
    ]
    whole = models[0]
    for model in models[1:]:
        for field_ in ("node", "input", "output", "initializer"):
            getattr(whole.graph, field_).extend(getattr(model.graph, field_))
    feeds = {f"c{k}_{name}": array for k, case in enumerate(cases) for name, array in case.feeds().items()}
    return whole, feeds


def i64(*values: Any) -> Array:
    return np.array(values, np.int64)


def floats(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def integers(*shape: int, low: int = -9, high: int = 9, dtype: Any = np.int64) -> Array:
    return np.random.default_rng(sum(shape)).integers(low, high, shape).astype(dtype)
