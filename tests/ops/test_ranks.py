"""Inputs of ranks and sizes that an operator cannot have are refused with an error of ours, or inferred."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from sardonyx.errors import SardonyxError
from sardonyx.graph import read_model
from sardonyx.ops.inference import infer_graph

SHAPES: tuple[list[str | int] | None, ...] = ([], ["q"], ["q", "r"], [*"qrstuv"], [0], [1, 2], None)


def one_case_per_operator() -> Iterator[onnx.ModelProto]:
    seen = set()
    for case in load_model_tests(kind="node"):
        if case.model is not None and len(case.model.graph.node) == 1:
            node = case.model.graph.node[0]
            if (node.domain, node.op_type) not in seen:
                seen.add((node.domain, node.op_type))
                yield case.model


def variants(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """The model with one input after the other declared with each of ``SHAPES``."""
    for place, value in enumerate(model.graph.input):
        if not value.type.HasField("tensor_type"):
            continue
        for shape in SHAPES:
            changed = onnx.ModelProto()
            changed.CopyFrom(model)
            declared = changed.graph.input[place].type.tensor_type
            declared.ClearField("shape")
            for size in shape or ():
                declared.shape.dim.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})
            if shape is not None:
                declared.shape.SetInParent()
            for output in changed.graph.output:
                if output.type.HasField("tensor_type"):
                    output.type.tensor_type.ClearField("shape")
            yield changed


@pytest.mark.filterwarnings("ignore")
def test_no_declared_shape_breaks_inference() -> None:
    tried = 0
    for model in one_case_per_operator():
        for changed in variants(model):
            tried += 1
            try:
                infer_graph(read_model(changed.SerializeToString()).graph)
            except SardonyxError:
                continue
            except Exception as error:
                pytest.fail(f"{changed.graph.node[0].op_type}: {type(error).__name__}: {error}\n{changed.graph.input}")
    assert tried > 2000
