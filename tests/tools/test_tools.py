"""Tools on model files, against ONNX Runtime's of the same names."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import sardonyx
from sardonyx.tools import make_dynamic_shape_fixed, onnx_model_utils, optimize, symbolic_shape_infer
from sardonyx.tools.symbolic_shape_infer import SymbolicShapeInference
from session import models

X = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))


def sizes(value: onnx.ValueInfoProto) -> list:
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in value.type.tensor_type.shape.dim]


# -- fixed sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--dim_param", "batch", "--dim_value", "2"], ["--input_name", "x", "--input_shape", "2,8"]],
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_fixed_sizes_like_onnxruntime(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = models.mlp()
    made.graph.value_info.append(models.tensor("p", ["batch", 5]))
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    made.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "batch"
    made.graph.output[0].type.tensor_type.shape.dim.add()
    onnx.save(made, tmp_path / "m.onnx")
    fixed = []
    for package in ("sardonyx", "onnxruntime"):
        path = tmp_path / f"{package}.onnx"
        monkeypatch.setattr(sys, "argv", ["tool", *arguments, str(tmp_path / "m.onnx"), str(path)])
        runpy.run_module(f"{package}.tools.make_dynamic_shape_fixed", run_name="__main__")
        fixed.append(onnx.load(path))
    for part in ("input", "output", "value_info"):
        ours, theirs = (getattr(model.graph, part) for model in fixed)
        assert [(v.name, sizes(v)) for v in ours] == [(v.name, sizes(v)) for v in theirs]
    assert sizes(fixed[0].graph.output[0]) == [2, 5]
    session = sardonyx.InferenceSession(fixed[0])
    np.testing.assert_array_equal(
        session.run(None, {"x": X})[0], sardonyx.InferenceSession(models.mlp()).run(None, {"x": X})[0]
    )


@pytest.mark.parametrize(
    "arguments",
    [[], ["--dim_param", "a"], ["--dim_param", "a", "--dim_value", "0"], ["--input_name", "x", "--input_shape", "0"]],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        make_dynamic_shape_fixed.main([*arguments, "in.onnx", "out.onnx"])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "shape"), [("zz", [1]), ("x", [1]), ("x", [2, 9])])
def test_wrong_shapes(name: str, shape: list[int]) -> None:
    from onnxruntime.tools import onnx_model_utils as theirs

    for utilities in (onnx_model_utils, theirs):
        with pytest.raises(ValueError, match=r"not found|Rank|Can't replace"):
            utilities.make_input_shape_fixed(models.mlp().graph, name, shape)


# -- inference ------------------------------------------------------------------------------------------------------


def test_symbolic_sizes() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 21]>
        sizes (float[batch, d0, 8] x) => (float[a, b] y, int64[k, m] z) {
            s = Shape(x) zero = Constant<value = int64 {0}>() n = Gather(s, zero)
            first = Constant<value = int64[1] {0}>()
            u = Unsqueeze(n, first) minus = Constant<value = int64[1] {-1}>() to = Concat<axis = 0>(u, minus)
            flat = Reshape(x, to)
            twice = Concat<axis = 0>(flat, flat)
            y = Relu(twice)
            z = NonZero(x)
        }""")
    inferred = SymbolicShapeInference.infer_shapes(model, auto_merge=True)
    known = {value.name: sizes(value) for value in inferred.graph.value_info}
    assert known["flat"] == ["batch", "8*d0"]
    assert known["twice"] == ["2*batch", "8*d0"]
    assert known["s"] == [3]
    assert [sizes(value) for value in inferred.graph.output] == [["a", "b"], [3, "m"]]
    assert not model.graph.value_info
    onnx.checker.check_model(inferred, full_check=True)
    session = onnxruntime.InferenceSession(inferred.SerializeToString())
    x = np.ones((2, 3, 8), np.float32)
    assert session.run(["y"], {"x": x})[0].shape == (4, 24)


def test_sizes_of_data_and_missing_ones() -> None:
    made = models.mlp()
    for output in made.graph.output:
        output.type.tensor_type.ClearField("shape")
    made.graph.node.append(onnx.helper.make_node("NonZero", ["x"], ["where"]))
    made.graph.node.append(onnx.helper.make_node("Cast", ["where"], ["cast"], to=1))
    inferred = SymbolicShapeInference.infer_shapes(made)
    assert [sizes(value) for value in inferred.graph.output] == [["batch", 5], []]
    where = next(v for v in inferred.graph.value_info if v.name == "where")
    assert sizes(where)[0] == 2
    assert sizes(where)[1].startswith("unk__")
    assert where.type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_inference_agrees_with_onnxruntimes() -> None:
    if importlib.util.find_spec("sympy") is None:
        pytest.skip("onnxruntime's inference needs sympy")
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference as Theirs

    made = models.mlp()
    ours, theirs = (tool.infer_shapes(made) for tool in (SymbolicShapeInference, Theirs))
    described = [{v.name: (v.type.tensor_type.elem_type, sizes(v)) for v in m.graph.value_info} for m in (ours, theirs)]
    assert described[0].items() <= described[1].items()
    assert set(described[0]) == {"p", "q"}


def test_command_of_inference(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    symbolic_shape_infer.main(["--input", str(tmp_path / "m.onnx"), "--output", str(tmp_path / "out.onnx")])
    assert {v.name for v in onnx.load(tmp_path / "out.onnx").graph.value_info} == {"p", "q"}
    more = ["--save_as_external_data", "--all_tensors_to_one_file", "--external_data_location", "weights"]
    more += ["--external_data_size_threshold", "0"]
    symbolic_shape_infer.main(["--input", str(tmp_path / "m.onnx"), "--output", str(tmp_path / "ext.onnx"), *more])
    assert (tmp_path / "weights").exists()
    result = sardonyx.InferenceSession(tmp_path / "ext.onnx").run(None, {"x": X})
    np.testing.assert_array_equal(result[0], sardonyx.InferenceSession(models.mlp()).run(None, {"x": X})[0])


# -- optimised models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "layout", "all"])
def test_optimised_model_loads_in_onnxruntime(level: str, tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    optimize.main(["--opt_level", level, str(tmp_path / "m.onnx"), str(tmp_path / "out.onnx")])
    optimised = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(optimised, full_check=True)
    assert [entry.domain for entry in optimised.opset_import] == [""]
    original = models.mlp()
    assert optimised.producer_name == original.producer_name
    assert optimised.metadata_props == original.metadata_props
    assert [(v.name, sizes(v)) for v in optimised.graph.output] == [(v.name, sizes(v)) for v in original.graph.output]
    expected = onnxruntime.InferenceSession(original.SerializeToString()).run(None, {"x": X})
    for engine in (onnxruntime, sardonyx):
        got = engine.InferenceSession(str(tmp_path / "out.onnx")).run(None, {"x": X})
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_optimised_transformer_parts_load_in_onnxruntime(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        norm (float[n, 4, 8] x) => (float[n, 4, 8] y) {
            m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) two = Constant<value = float {2}>() sq = Pow(d, two)
            v = ReduceMean<axes = [-1]>(sq) e = Constant<value = float {0.00001}>() ve = Add(v, e) s = Sqrt(ve)
            n1 = Div(d, s) half = Constant<value = float {0.5}>() r2 = Constant<value = float {1.41421356}>()
            q = Div(n1, r2) er = Erf(q) one = Constant<value = float {1}>() p1 = Add(er, one) g = Mul(n1, p1)
            y = Mul(g, half)
        }""")
    path = tmp_path / "out.onnx"
    session = sardonyx.InferenceSession(model, optimized_model_filepath=str(path))
    assert [node.op_type for node in onnx.load(path).graph.node] == ["LayerNormalization", "Gelu"]
    x = np.random.default_rng(0).standard_normal((2, 4, 8)).astype(np.float32)
    got = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0]
    np.testing.assert_allclose(got, session.run(None, {"x": x})[0], rtol=1e-5, atol=1e-5)
    assert onnx_model_utils.get_optimization_level("all") == sardonyx.GraphOptimizationLevel.ORT_ENABLE_ALL
    with pytest.raises(ValueError, match="Invalid optimization level"):
        onnx_model_utils.get_optimization_level("most")
