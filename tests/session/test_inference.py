"""InferenceSession against ONNX Runtime's: the same names, types, order and results."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import sardonyx
from sardonyx.ops import registry
from session import models

pytestmark = pytest.mark.filterwarnings("ignore:.*run in Python:RuntimeWarning")


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def both(model: onnx.ModelProto) -> tuple[sardonyx.InferenceSession, onnxruntime.InferenceSession]:
    content = model.SerializeToString()
    return sardonyx.InferenceSession(content), onnxruntime.InferenceSession(content)


@pytest.mark.parametrize("make", [models.mlp, models.two_inputs, models.strings, models.sequences])
def test_description_is_that_of_onnxruntime(make) -> None:
    ours, theirs = both(make())

    def described(session) -> list:
        values = [*session.get_inputs(), *session.get_outputs(), *session.get_overridable_initializers()]
        return [(v.name, v.type, v.shape) for v in values]

    assert described(ours) == described(theirs)
    meta, expected = ours.get_modelmeta(), theirs.get_modelmeta()
    for field in (
        "producer_name", "graph_name", "domain", "description", "graph_description", "version", "custom_metadata_map",
    ):  # fmt: skip
        assert getattr(meta, field) == getattr(expected, field)
    assert ours.get_providers() == theirs.get_providers()


@pytest.mark.parametrize("batch", [0, 1, 3, 17])
def test_results(batch: int) -> None:
    ours, theirs = both(models.mlp())
    x = np.random.default_rng(batch).standard_normal((batch, 8)).astype(np.float32)
    for names in (None, [], ["y", "s"], ["s"], ["s", "y", "s"]):
        got, expected = ours.run(names, {"x": x}), theirs.run(names, {"x": x})
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_an_input_with_a_default_may_be_left_out() -> None:
    """Also where the whole model is one native step."""
    x, other = np.ones((2, 8), np.float32), np.full((8, 3), 2, np.float32)
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "default",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", ["n", 8]), ("w", [8, 3]))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.ones((8, 3), np.float32), "w")],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    ours, theirs = both(made)
    for feeds in ({"x": x}, {"x": x, "w": other}):
        np.testing.assert_array_equal(ours.run(None, feeds)[0], theirs.run(None, feeds)[0])


def test_sources(tmp_path: Path) -> None:
    made, x = models.mlp(), np.ones((2, 8), np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    expected = sardonyx.InferenceSession(path).run(["y"], {"x": x})[0]
    for source in (str(path), made.SerializeToString(), io.BytesIO(made.SerializeToString()), made):
        np.testing.assert_array_equal(sardonyx.InferenceSession(source).run(["y"], {"x": x})[0], expected)


def test_default_of_an_input() -> None:
    ours, theirs = both(models.two_inputs())
    feeds = {"a": np.ones((2, 3, 2), np.float32), "k": np.array(4)}
    for more in ({}, {"c": np.array([9], np.float32)}):
        for a, b in zip(ours.run(None, feeds | more), theirs.run(None, feeds | more), strict=True):
            np.testing.assert_array_equal(a, b)


def test_outputs_do_not_alias_inputs() -> None:
    session = sardonyx.InferenceSession(models.two_inputs())
    a = np.ones((2, 3, 2), np.float32)
    same = session.run(["same"], {"a": a, "k": np.array(4)})[0]
    same[:] = 7
    assert (a == 1).all()


def test_every_form_of_input() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    expected = session.run(["y"], {"x": x})[0]
    read_only = x.copy()
    read_only.flags.writeable = False

    class Foreign:
        """An object that offers its memory through DLPack alone."""

        def __dlpack__(self, **arguments):
            return x.__dlpack__(**arguments)

        def __dlpack_device__(self):
            return x.__dlpack_device__()

    arrays = [np.asfortranarray(x), x.astype(">f4"), read_only, x[:, ::-1][:, ::-1], x.view(np.matrix)]
    others = [x.tolist(), [[int(v) for v in row] for row in x], Foreign(), sardonyx.OrtValue.ortvalue_from_numpy(x)]
    for form in arrays + others:
        np.testing.assert_array_equal(session.run(["y"], {"x": form})[0], expected)


def test_scalars() -> None:
    session = sardonyx.InferenceSession(models.two_inputs())
    a = np.ones((1, 1, 2), np.float32)
    for k in (4, np.int64(4), np.array(4)):
        assert session.run(["out"], {"a": a, "k": k})[0][0, 0, 0] == 4.5


_GOOD = {"a": np.ones((1, 1, 2), np.float32), "k": np.array(4)}


@pytest.mark.parametrize(
    ("feeds", "parts"),
    [
        ({**_GOOD, "z": 1}, ["unknown input 'z'", "a: tensor(float) [n, ?, 2]"]),
        ({"a": _GOOD["a"]}, ["missing input 'k'"]),
        ({**_GOOD, "a": np.ones((1, 1, 2))}, ["'a'", "tensor(float)", "float64", "astype('float32')"]),
        ({**_GOOD, "a": np.ones((1, 2), np.float32)}, ["'a'", "(1, 2)"]),
        ({**_GOOD, "a": np.ones((1, 1, 3), np.float32)}, ["'a'", "(1, 1, 3)"]),
        ({**_GOOD, "k": 1.5}, ["'k'", "tensor(int64)"]),
        ({**_GOOD, "k": None}, ["'k'", "None"]),
        ({**_GOOD, "k": 1 << 70}, ["'k'"]),
        ({**_GOOD, "a": [[1.0], [1.0, 2.0]]}, ["'a'", "rectangular"]),
        ({**_GOOD, "a": {"x": 1}}, ["'a'", "dictionary"]),
        ({**_GOOD, "a": "text"}, ["'a'"]),
    ],
)
def test_wrong_inputs(feeds: dict, parts: list[str]) -> None:
    session = sardonyx.InferenceSession(models.two_inputs())
    with pytest.raises(sardonyx.InvalidInputError) as caught:
        session.run(None, feeds)
    for part in parts:
        assert part in str(caught.value)
    assert session.run(["out"], _GOOD)[0][0, 0, 0] == 4.5


def test_unknown_output() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    with pytest.raises(sardonyx.InvalidInputError, match="nothing"):
        session.run(["nothing"], {"x": np.ones((1, 8), np.float32)})


def test_strings_and_sequences() -> None:
    ours, theirs = both(models.strings())
    for words in (["a", "Bc"], np.array(["a", "Bc"]), np.array(["a", "Bc"], object), np.array([b"a", b"Bc"])):
        assert ours.run(None, {"s": words})[0].tolist() == ["aa", "BcBc"]
    expected = theirs.run(None, {"s": np.array(["a", "Bc"])})[0]
    assert ours.run(None, {"s": np.array(["a", "Bc"])})[0].dtype == expected.dtype
    ours, theirs = both(models.sequences())
    feeds = {"q": [np.ones(2, np.float32), np.zeros(3, np.float32)], "x": np.ones(1, np.float32)}
    got, wanted = ours.run(None, feeds), theirs.run(None, feeds)
    assert got[0] == wanted[0] == 2
    assert [v.tolist() for v in got[1]] == [v.tolist() for v in wanted[1]]
    with pytest.raises(sardonyx.InvalidInputError, match="'q'"):
        ours.run(None, {**feeds, "q": 3})


def test_ort_values() -> None:
    ours, theirs = both(models.mlp())
    x = np.ones((2, 8), np.float32)
    got = ours.run_with_ort_values(["y"], {"x": sardonyx.OrtValue.ortvalue_from_numpy(x)})[0]
    expected = theirs.run_with_ort_values(["y"], {"x": onnxruntime.OrtValue.ortvalue_from_numpy(x)})[0]
    questions = ["shape", "data_type", "element_type", "device_name", "is_tensor", "has_value", "is_tensor_sequence"]
    for question in [*questions, "tensor_size_in_bytes"]:
        assert getattr(got, question)() == getattr(expected, question)()
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5)
    assert got.data_ptr() == got.numpy().ctypes.data


def test_bfloat16_in_and_out() -> None:
    kind = TensorProto.BFLOAT16
    made = models.model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [models.tensor("x", ["n"], kind)],
        [models.tensor("y", ["n"], kind)],
    )
    session = sardonyx.InferenceSession(made)
    x = np.array([1.5, 2.25], ml_dtypes.bfloat16)
    assert session.run(None, {"x": x})[0].astype(float).tolist() == [3.0, 4.5]
    value = sardonyx.OrtValue.ortvalue_from_numpy_with_onnx_type(x.view(np.uint16), kind)
    assert value.data_type() == "tensor(bfloat16)"
    result = session.run_with_ort_values(None, {"x": value})[0]
    assert result.element_type() == kind
    assert result.numpy().astype(float).tolist() == [3.0, 4.5]


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = sardonyx.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.some", "1")
    session = sardonyx.InferenceSession(models.mlp(), options, providers=["CPUExecutionProvider"])
    options.intra_op_num_threads = 5
    assert session.get_session_options().intra_op_num_threads == 2
    assert session.get_session_options().get_session_config_entry("session.some") == "1"
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    with pytest.raises(AttributeError):
        options.no_such_option = 1
    with pytest.raises(ValueError, match="intra_op_num_threads"):
        options.intra_op_num_threads = -1
    with pytest.raises(RuntimeError, match="missing"):
        options.get_session_config_entry("missing")
    with pytest.raises(TypeError, match="no_such"):
        sardonyx.InferenceSession(models.mlp(), no_such=1)
    with pytest.warns(UserWarning, match="not in available"):
        sardonyx.InferenceSession(models.mlp(), providers=["ImaginaryExecutionProvider"])
    monkeypatch.delitem(registry._records, ("", "MatMul"))
    with pytest.raises(sardonyx.UnsupportedOpError):
        sardonyx.InferenceSession(models.mlp(), strict=True, use_cache=False)
    ended = sardonyx.RunOptions()
    ended.terminate = True
    with pytest.raises(sardonyx.ExecutionError, match="terminate"):
        session.run(None, {"x": np.ones((1, 8), np.float32)}, ended)


@pytest.mark.parametrize("profiled", [False, True])
def test_terminate_ends_a_native_step(profiled: bool, tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(31)]
    made = models.model(
        [helper.make_node("MatMul", [a, "x0"], [b]) for a, b in itertools.pairwise(names)],
        [models.tensor("x0", ["n", "n"])],
        [models.tensor(names[-1], None)],
    )
    prefix = str(tmp_path / "profile")
    session = sardonyx.InferenceSession(made, enable_profiling=profiled, profile_file_prefix=prefix)
    assert len(session.program.steps) == 1
    small = {"x0": np.eye(4, dtype=np.float32)}
    options = sardonyx.RunOptions()
    np.testing.assert_array_equal(session.run(None, small, options)[0], small["x0"])
    large = {"x0": np.zeros((1500, 1500), np.float32)}
    timer = threading.Timer(0.2, lambda: setattr(options, "terminate", True))
    timer.start()
    with pytest.raises(sardonyx.ExecutionError, match="told to end"):
        session.run(None, large, options)
    timer.join()
    assert not options._watched
    np.testing.assert_array_equal(session.run(None, small, sardonyx.RunOptions())[0], small["x0"])
    with pytest.raises(AttributeError, match="no_such"):
        options.no_such = 1


def test_free_dimension() -> None:
    options = sardonyx.SessionOptions()
    options.add_free_dimension_override_by_name("batch", 2)
    session = sardonyx.InferenceSession(models.mlp(), options)
    session.run(None, {"x": np.ones((2, 8), np.float32)})
    with pytest.raises(sardonyx.InvalidInputError, match="2"):
        session.run(None, {"x": np.ones((3, 8), np.float32)})


def test_memory_limit() -> None:
    session = sardonyx.InferenceSession(models.mlp(), memory_limit=1 << 16)
    session.run(None, {"x": np.ones((10, 8), np.float32)})
    with pytest.raises(sardonyx.MemoryLimitError, match="memory_limit"):
        session.run(None, {"x": np.ones((100_000, 8), np.float32)})


@pytest.mark.parametrize("make", [models.mlp, models.strings])
def test_profile(make, tmp_path: Path) -> None:
    session = sardonyx.InferenceSession(
        make(), enable_profiling=True, profile_file_prefix=str(tmp_path / "trace"), disabled_optimizers=["activations"]
    )
    assert session.get_profiling_start_time_ns() > 0
    inputs = {"x": np.ones((1, 8), np.float32)} if make is models.mlp else {"s": ["a"]}
    for _ in range(3):
        session.run(None, inputs)
    path = session.end_profiling()
    events = json.loads(Path(path).read_text())
    runs = [event for event in events if event["name"] == "model_run"]
    assert len(runs) == 3
    for run in runs:
        inside = [
            e for e in events if e["cat"] in ("Node", "HostStep") and run["ts"] <= e["ts"] < run["ts"] + run["dur"]
        ]
        assert inside
        assert sum(e["dur"] for e in inside) <= run["dur"]
    assert session.end_profiling() == ""
    session.run(None, inputs)


def test_one_session_several_threads() -> None:
    session = sardonyx.InferenceSession(models.mlp(), intra_op_num_threads=2)
    draw = np.random.default_rng(0)
    feeds = [draw.standard_normal((n, 8)).astype(np.float32) for n in (1, 2, 50, 700)]
    expected = [session.run(None, {"x": x}) for x in feeds]
    wrong = []

    def work(offset: int) -> None:
        for turn in range(300):
            k = (turn + offset) % len(feeds)
            got = session.run(None, {"x": feeds[k]})
            if not all(np.array_equal(a, b) for a, b in zip(got, expected[k], strict=True)):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


_WARM = """
import sys, numpy as np, sardonyx
session = sardonyx.InferenceSession(sys.argv[1])
y, s = session.run(None, {"x": np.ones((3, 8), np.float32)})
print(repr(float(s)), session.get_modelmeta().custom_metadata_map["author"], session.get_inputs()[0].shape)
print(sorted({"onnx", "onnx_ir", "sympy"} & set(sys.modules)))
"""


def _run(script: str, *arguments: str) -> list[str]:
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_warm_start_needs_no_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "m.onnx"
    onnx.save(models.mlp(), path)
    cold = _run(_WARM, str(path))
    warm = _run(_WARM, str(path))
    assert cold[0] == warm[0]
    assert "'onnx_ir'" in cold[1]
    assert warm[1] == "[]"


def test_changed_model_is_compiled_anew(tmp_path: Path) -> None:
    path, x = tmp_path / "m.onnx", np.ones((1, 8), np.float32)
    made = models.mlp()
    onnx.save(made, path)
    first = sardonyx.InferenceSession(path).run(["y"], {"x": x})[0]
    weights = next(t for t in made.graph.initializer if t.name == "b")
    weights.raw_data = np.full(5, 100, np.float32).tobytes()
    onnx.save(made, path)
    second = sardonyx.InferenceSession(path).run(["y"], {"x": x})[0]
    assert (second > first + 50).all()


def test_import_is_light() -> None:
    loaded = _run("import sys, sardonyx; print(sorted({'numpy', 'onnx', 'llvmlite'} & set(sys.modules)))")
    assert loaded == ["[]"]


def test_sessions_of_one_model_share_packed_weights() -> None:
    made = models.mlp()
    first, second = sardonyx.InferenceSession(made), sardonyx.InferenceSession(made, intra_op_num_threads=1)
    other = sardonyx.InferenceSession(made, use_cache=False)
    arenas = [session.program.native_steps[0].prepared for session in (first, second, other)]
    assert arenas[0] is arenas[1]
    assert arenas[0] is not arenas[2]
    x = np.ones((3, 8), np.float32)
    expected = first.run(None, {"x": x})
    del first, arenas
    for session in (second, other):
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], expected[0])


def test_optimised_model_is_written(tmp_path: Path) -> None:
    path = tmp_path / "optimised.onnx"
    session = sardonyx.InferenceSession(models.mlp(), optimized_model_filepath=str(path))
    again = sardonyx.InferenceSession(path)
    x = np.ones((3, 8), np.float32)
    for a, b in zip(session.run(None, {"x": x}), again.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(a, b)
