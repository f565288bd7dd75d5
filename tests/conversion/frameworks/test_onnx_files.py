"""ONNX: another opset, another size, another shape of file; and what is refused by name."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from conversion import onnx_models as models
from sardonyx.conversion.frameworks._onnx.opsets import opset_of, with_opset
from sardonyx.conversion.frameworks._onnx.reference import Reference
from sardonyx.conversion.frameworks._onnx.simplification import simplified
from sardonyx.conversion.frameworks._onnx.sizes import fix_sizes, open_batch

Nodes = list[onnx.NodeProto]


def chain(*nodes: onnx.NodeProto, opset: int = 17, shape: Any = ("n", 4)) -> onnx.ModelProto:
    return models.model(nodes, {"x": shape}, {"y": None}, models.Weights(), opset)


def answers(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """By ONNX Runtime, which only loads what is portable."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return list(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds))


def close(ours: onnx.ModelProto, theirs: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    feeds = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    for a, b in zip(answers(ours, feeds), answers(theirs, feeds), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [8, 9, 11, 14, 17, 21])
def test_the_same_nodes_in_another_opset(opset: int) -> None:
    made = with_opset(models.cnn(), opset)
    assert opset_of(made) == opset
    onnx.checker.check_model(made, full_check=True)
    close(made, models.cnn(), (2, 3, 12, 12))


def test_a_very_old_model_becomes_one_that_others_run() -> None:
    made = with_opset(models.old_cnn(6), 17)
    close(made, with_opset(models.old_cnn(7), 17), (2, 3, 10, 10))
    assert [value.name for value in made.graph.input] == ["x"]


def test_inputs_become_attributes_again() -> None:
    w = models.Weights()
    nodes = [
        helper.make_node("Clip", ["x", w.add("low", np.float32(-1)), w.add("high", np.float32(1))], ["a"]),
        helper.make_node("Unsqueeze", ["a", w.add("axes", np.array([1]))], ["b"]),
        helper.make_node("Pad", ["b", w.add("pads", np.array([0, 0, 1, 0, 0, 2]))], ["c"]),
        helper.make_node("Slice", ["c", w.add("from", np.array([1])), w.add("to", np.array([6])), "last"], ["d"]),
        helper.make_node("Split", ["d", w.add("parts", np.array([2, 3]))], ["e", "f"], axis=2),
        helper.make_node("ReduceSum", ["f", "axes"], ["g"], keepdims=0),
        helper.make_node("TopK", ["g", w.add("k", np.array([2]))], ["y", "places"]),
    ]
    w.add("last", np.array([2]))
    model = models.model(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, w, 17)
    made = with_opset(model, 8)
    assert not made.graph.initializer
    close(made, model, (3, 4))


def test_opsets_that_cannot_express_a_node_name_it() -> None:
    norm = helper.make_node("LayerNormalization", ["x", "x"], ["y"], "layer_norm")
    silu = helper.make_node("Gelu", ["x"], ["y"], "activation")
    shape = helper.make_node("Shape", ["x"], ["s"], start=0, end=1)
    mean = helper.make_node("ReduceMean", ["x", "s"], ["y"], "mean")
    for model, opset, message in (
        (chain(norm), 13, r"opset 13: LayerNormalization: node 'layer_norm'.*exists since opset 17"),
        (chain(silu, opset=20), 17, r"Gelu: node 'activation'.*exists since opset 20"),
        (chain(shape, mean, opset=18), 17, r"ReduceMean: node 'mean'.*axes \(s\) is computed"),
        (chain(norm), 99, r"opset 99 of ai\.onnx is not known; there are 1 to"),
    ):
        with pytest.raises(sardonyx.ConversionError, match=message):
            with_opset(model, opset)


def test_functions_are_inlined_for_another_opset() -> None:
    body = [helper.make_node("Softmax", ["a"], ["b"], axis=-1)]
    function = helper.make_function("mine", "Scores", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    model = chain(helper.make_node("Scores", ["x"], ["y"], domain="mine"), opset=13)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    made = with_opset(model, 9)
    assert [node.op_type for node in made.graph.node] == ["Softmax"]
    close(made, model, (3, 4))


def test_simplified_models_are_standard_and_keep_their_opset() -> None:
    made = simplified(models.cnn())
    kinds = [node.op_type for node in made.graph.node]
    assert kinds == ["Conv", "Relu", "MaxPool", "ReduceMean", "Gemm", "Softmax"]
    assert opset_of(made) == 13
    close(made, models.cnn(), (2, 3, 12, 12))


def test_operators_of_others_pass_through() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Normalizer", ["a"], ["b"], domain="ai.onnx.ml", norm="L2"),
        helper.make_node("Gelu", ["b"], ["y"], domain="com.microsoft"),
    ]
    model = chain(*nodes, opset=15)
    model.opset_import.extend([helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)])
    made = simplified(model)
    assert [node.op_type for node in made.graph.node] == ["Normalizer", "Gelu"]
    assert {entry.domain: entry.version for entry in made.opset_import} == {"": 15, "ai.onnx.ml": 3, "com.microsoft": 1}
    close(made, model, (3, 4))


def test_sizes_are_fixed_by_symbol_and_by_input() -> None:
    for sizes in ({"batch": 2}, {"x": [2, 3, 12, 12]}):
        model = models.cnn()
        fix_sizes(model, sizes)
        shapes = [
            [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*model.graph.input, *model.graph.output)
        ]
        assert shapes == [[2, 3, 12, 12], [2, 5]]
    for wrong, message in (
        ({"rows": 2}, "rows is unknown; the model has symbolic sizes .'batch'."),
        ({"batch": 0}, "each 1 or more"),
        ({"x": [2, 4, 12, 12]}, "existing fixed size of 3"),
        ({"x": [2, 3]}, "Rank mismatch"),
    ):
        with pytest.raises(sardonyx.ConversionError, match=message):
            fix_sizes(models.cnn(), wrong)


def test_a_batch_that_a_node_fixes_is_named() -> None:
    w = models.Weights()
    rows = helper.make_node("Concat", ["x", w.normal("rows", 2, 4)], ["y"], "side_by_side", axis=1)
    joined = models.model([rows], {"x": [2, 4]}, {"y": [2, 8]}, w, 17)
    total = chain(helper.make_node("ReduceSum", ["x"], ["y"], "total", keepdims=0), shape=(2, 4))
    for model, message in ((joined, "batch cannot be made symbolic.*side_by_side"), (total, "node 'total'.*takes")):
        with pytest.raises(sardonyx.ConversionError, match=message):
            sardonyx.convert(model, dynamic_batch=True)
    two = models.model([helper.make_node("MatMul", ["x", "z"], ["y"])], {"x": [2, 4], "z": [4, 3]}, {"y": None}, w, 17)
    with pytest.raises(sardonyx.ConversionError, match=r"different leading sizes \(x: 2, z: 4\).*dynamic_batch="):
        open_batch(two)


def test_a_batch_within_other_sizes_is_found_or_refused() -> None:
    result = sardonyx.convert(models.heads(2), dynamic_batch=True, rows=9)
    assert result.certificate.passed
    assert [d.dim_param for d in result.model.graph.output[0].type.tensor_type.shape.dim] == ["batch", "", ""]
    with pytest.raises(
        sardonyx.ConversionError, match=r"\[5, 2, 4\] of node 'to_heads'.*where the batch of 1 is.*batch of 2"
    ):
        sardonyx.convert(models.heads(1), dynamic_batch=True)


def test_a_last_part_that_is_not_full() -> None:
    opened = open_batch(models.mlp(4))
    assert opened is not None

    def run(feeds: Any) -> dict[str, Any]:
        assert feeds["x"].shape == (4, 1)
        return {"y": feeds["x"] * 2}

    rows = np.arange(6.0).reshape(6, 1)
    assert opened.in_parts(run)({"x": rows})["y"].tolist() == (rows * 2).tolist()


def test_external_data_is_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    onnx.save(models.mlp(), tmp_path / "m.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    result = sardonyx.convert(tmp_path / "m.onnx", tmp_path / "to" / "m.onnx", external=True, rows=20)
    assert result.certificate.passed
    assert sorted(entry.name for entry in (tmp_path / "to").iterdir()) == [
        "m.certificate.json",
        "m.onnx",
        "m.onnx.data",
    ]
    again = onnx.load(tmp_path / "to" / "m.onnx")
    assert [t.raw_data for t in again.graph.initializer] == [t.raw_data for t in models.mlp().graph.initializer]


def external(path: Path, location: str, **entries: str) -> Path:
    model = models.mlp()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def broken(folder: Path) -> list[tuple[Any, str]]:
    good = models.mlp().SerializeToString()
    files = {"empty.onnx": b"", "text.onnx": b"#!/bin/sh\n" * 50, "cut.onnx": good[:900], "zeros.onnx": bytes(4096)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    secret = folder / "secret.data"
    secret.write_bytes(bytes(4 * 16 * 32))
    inside = folder / "models"
    inside.mkdir()
    (inside / "link.data").symlink_to(secret)
    os.link(secret, inside / "hard.data")
    (inside / "short.data").write_bytes(b"12")
    left, right = helper.make_node("Relu", ["b"], ["a"], "left"), helper.make_node("Relu", ["a"], ["b"], "right")
    last = helper.make_node("Add", ["x", "a"], ["y"])
    unknown = helper.make_node("Frobnicate", ["x"], ["y"], "strange")
    wrong = helper.make_node("Relu", ["x"], ["y"], "steep", slope=2.0)
    gone = helper.make_node("Add", ["x", "nothing"], ["y"], "sum")
    return [
        (folder / "empty.onnx", "cannot be used: .*empty"),
        (folder / "text.onnx", "damaged or cut off"),
        (folder / "cut.onnx", "damaged or cut off"),
        (folder / "zeros.onnx", "damaged or cut off"),
        (external(inside / "a.onnx", "../secret.data"), r"tensor 'w'.*a path with '\.\.' is refused"),
        (external(inside / "b.onnx", str(secret)), "an absolute path is refused"),
        (external(inside / "c.onnx", "link.data"), "leads out of the model's folder"),
        (external(inside / "d.onnx", "hard.data"), "hard links"),
        (external(inside / "e.onnx", "nowhere.data"), "tensor 'w'.*nowhere.data.*cannot be opened"),
        (external(inside / "f.onnx", "short.data"), "past the end of the file"),
        (external(inside / "g.onnx", "short.data", offset="-1"), "is not a number of bytes"),
        (onnx.load(inside / "f.onnx", load_external_data=False), "not read from a path: pass base_dir"),
        (chain(left, right, last), "cycle"),
        (chain(unknown), "'strange'.*no operator Frobnicate"),
        (chain(wrong), "'steep'.*unknown attribute 'slope'"),
        (chain(gone), "'sum'.*'nothing'"),
    ]


def test_broken_and_hostile_files_are_refused_by_name(tmp_path: Path) -> None:
    for source, message in broken(tmp_path):
        with pytest.raises(sardonyx.ConversionError, match=message):
            sardonyx.convert(source, tmp_path / "out.onnx")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("options", [{"sizes": 3}, {"simplify": True, "opset": 10**6}])
def test_wishes_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(sardonyx.ConversionError, match=r"sizes=3|opset 1000000"):
        sardonyx.convert(models.mlp(), **options)


def test_who_answers_for_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 12)).astype(np.float32)
    answered, find = {}, importlib.util.find_spec
    for installed in (True, False):
        if not installed:
            monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
        for opset in (13, 15):
            reference = Reference(with_opset(models.cnn(), opset))
            answered[installed, opset] = reference({"x": x})["y"], reference.engine().split()[0]
    assert [name for _, name in answered.values()] == ["ONNX", "ONNX", "sardonyx", "onnx.reference"]
    for answer, _ in answered.values():
        np.testing.assert_allclose(answer, answered[True, 13][0], rtol=1e-4, atol=1e-6)
