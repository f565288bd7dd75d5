"""Composites: what replaces them, how their nodes are checked, and that functions of the model come first."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

from ops.contrib.oracle import compiled, node_model, numbers
from passes.oracle import op_types
from sardonyx import SessionOptions
from sardonyx.compiler import compile_model
from sardonyx.errors import InvalidModelError, UnsupportedOpError
from sardonyx.graph.reader import read_model
from sardonyx.graph.verifier import verify
from sardonyx.ops.registry import foreign_operators
from sardonyx.passes.pipeline import optimise
from sardonyx.runtime.pool import team


def test_the_composition_is_in_place_at_every_level() -> None:
    for level in (0, 99):
        model = read_model(node_model("BiasGelu", [numbers(2, 3), numbers(3)], {}), custom_ops=foreign_operators())
        optimise(model, level=level, after=lambda one, rewriter: verify(rewriter.graph))
        assert op_types(model.graph) == ["Add", "Gelu"]
        assert [value.name for value in model.graph.outputs] == ["y0"]


def test_unknown_attribute() -> None:
    model = node_model("BiasGelu", [numbers(2, 3), numbers(3)], {"axis": 1})
    with pytest.raises(InvalidModelError, match=r"'tested' \(com.microsoft::BiasGelu\): it has no attribute 'axis'"):
        compile_model(model)


@pytest.mark.parametrize("inputs", [[numbers(2, 3)], [numbers(2, 3), numbers(3), numbers(3)]])
def test_number_of_inputs(inputs: list[np.ndarray]) -> None:
    with pytest.raises(InvalidModelError, match=r"tested.*(is required|takes at most 2 inputs)"):
        compile_model(node_model("BiasGelu", inputs, {}))


def test_wrong_rank() -> None:
    with pytest.raises(InvalidModelError, match=r"tested.*input 1 must have rank 1"):
        compile_model(node_model("BiasGelu", [numbers(2, 3), numbers(2, 3)], {}))


def test_inputs_that_do_not_go_together() -> None:
    model = node_model("BiasGelu", [numbers(2, 3), numbers(4)], {}, fixed=[0, 1])
    with pytest.raises(InvalidModelError, match=r"tested.*do not broadcast"):
        compile_model(model)


def test_missing_output() -> None:
    model = node_model("BiasGelu", [numbers(2, 3), numbers(3)], {}, outputs=(True, True))
    with pytest.raises(InvalidModelError, match=r"tested.*it has no output 1"):
        compile_model(model)


def test_unknown_operator() -> None:
    model = node_model("NoSuchThing", [numbers(2, 3)], {})
    with pytest.raises(UnsupportedOpError, match=r"NoSuchThing of domain com\.microsoft is not known"):
        compile_model(model)


def test_a_layout_of_one_kind_of_processor() -> None:
    model = node_model("Conv", [numbers(2, 8, 3, 3)], {}, domain="com.microsoft.nchwc")
    with pytest.raises(UnsupportedOpError, match=r"Conv of domain com\.microsoft\.nchwc is not known: .*extended"):
        compile_model(model)


def test_a_function_of_the_model_takes_precedence() -> None:
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
        test (float[n] x) => (float[n] y) { y = com.microsoft.Gelu(x) }
        <domain: "com.microsoft", opset_import: ["": 20]>
        Gelu (a) => (b) { b = Neg(a) }
    """)
    x = numbers(5)
    np.testing.assert_array_equal(compiled(model).run([x])[0], -x)


def test_inside_a_branch() -> None:
    text = """
        <ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
        test (bool c, float[n] x) => (float[n] y) {
            y = If (c) <then_branch = g () => (float[n] a) { a = com.microsoft.QuickGelu(x) },
                        else_branch = h () => (float[n] e) { e = Neg(x) }>
        }
    """
    x = numbers(5)
    program = compile_model(parser.parse_model(text))
    program.load(team(1), 1 << 30)
    for condition, want in ((True, x / (1 + np.exp(-1.702 * x))), (False, -x)):
        (got,) = program.run([np.array(condition), x])
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_saved_model_holds_standard_operators(tmp_path: object) -> None:
    path = f"{tmp_path}/saved.onnx"
    options = SessionOptions(optimized_model_filepath=path)
    compile_model(node_model("SkipLayerNormalization", [numbers(2, 3, 4)] * 2 + [numbers(4)], {}), options)
    assert {node.domain for node in onnx.load(path).graph.node} == {""}


def test_results_that_are_inputs() -> None:
    """An output of a composite that is a view or an input keeps the name that the graph gives it."""
    node = helper.make_node("SkipLayerNormalization", ["x", "x", "g"], ["y", "", "", "s"], domain="com.microsoft")
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", ["b", 3, 4]), ("g", [4]))]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("s", "y")]
    model = helper.make_model(helper.make_graph([node], "test", ports, outputs), ir_version=10)
    x = numbers(2, 3, 4)
    np.testing.assert_array_equal(compiled(model).run([x, numbers(4)])[0], x + x)
