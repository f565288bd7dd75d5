"""The same mistakes made with both engines: ours raises what a program written for ONNX Runtime catches."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as their_state

import sardonyx
from sardonyx.capi import onnxruntime_pybind11_state as our_state
from session import models
from session.models import INT64, model, tensor

ENGINES = [sardonyx, onnxruntime]


@pytest.fixture(autouse=True, scope="module")
def _quiet(tmp_path_factory: pytest.TempPathFactory):
    onnxruntime.set_default_logger_severity(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
    onnxruntime.set_default_logger_severity(2)


def caught(action) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: PT011  # the class is what is compared
        action()
    return info.value


def assert_caught_alike(ours: Exception, theirs: Exception) -> None:
    """Whatever class a program catches for ONNX Runtime's exception catches ours."""
    name = type(theirs).__name__
    expected = getattr(our_state, name) if type(theirs).__module__.startswith("onnxruntime") else type(theirs)
    assert isinstance(ours, expected), f"{name} there, {[c.__name__ for c in type(ours).__mro__]} here: {ours}"
    assert isinstance(ours, sardonyx.SardonyxError | TypeError)


GOOD: dict[str, Any] = {"a": np.ones((1, 1, 2), np.float32), "k": np.array(4)}
WRONG_FEEDS = {
    "unknown name": ({**GOOD, "zz": np.ones(1)}, "zz"),
    "missing": ({"a": GOOD["a"]}, "'k'"),
    "element type": ({**GOOD, "a": np.ones((1, 1, 2))}, "'a'"),
    "rank": ({**GOOD, "a": np.ones((1, 2), np.float32)}, "'a'"),
    "size": ({**GOOD, "a": np.ones((1, 1, 3), np.float32)}, "'a'"),
    "ragged list": ({**GOOD, "a": [[1.0], [1.0, 2.0]]}, "'a'"),
    "dictionary": ({**GOOD, "a": {"x": 1}}, "'a'"),
    "text": ({**GOOD, "a": "text"}, "'a'"),
    "number of another kind": ({**GOOD, "k": 1.5}, "'k'"),
    "object": ({**GOOD, "a": object()}, "'a'"),
}


@pytest.mark.parametrize("case", WRONG_FEEDS)
def test_wrong_feeds(case: str) -> None:
    content = models.two_inputs().SerializeToString()
    feeds, named = WRONG_FEEDS[case]
    ours, theirs = (caught(lambda e=e: e.InferenceSession(content).run(None, feeds)) for e in ENGINES)
    assert_caught_alike(ours, theirs)
    assert named in str(ours)


def test_unknown_output() -> None:
    content = models.two_inputs().SerializeToString()
    ours, theirs = (caught(lambda e=e: e.InferenceSession(content).run(["nothing"], GOOD)) for e in ENGINES)
    assert_caught_alike(ours, theirs)
    assert "nothing" in str(ours)


def _one_node(node: onnx.NodeProto, *, output: int = TensorProto.FLOAT, given: int = TensorProto.FLOAT):
    return model([node], [tensor("x", [3], given), tensor("z", [4], given)], [tensor("y", [3], output)])


def _broken(**changes: int) -> onnx.ModelProto:
    made = models.mlp()
    made.opset_import[0].version = changes.get("opset", 21)
    made.ir_version = changes.get("ir_version", 10)
    return made


def _foreign(imported: bool) -> onnx.ModelProto:
    made = _one_node(helper.make_node("Foo", ["x"], ["y"], name="n", domain="com.example"))
    if imported:
        made.opset_import.append(helper.make_opsetid("com.example", 1))
    return made


BROKEN_MODELS = {
    "garbage": b"garbage bytes",
    "empty": b"",
    "truncated": models.mlp().SerializeToString()[:-100],
    "unknown operator": _one_node(helper.make_node("NoSuchOp", ["x"], ["y"], name="n")),
    "unknown domain": _foreign(imported=False),
    "unknown operator of a domain": _foreign(imported=True),
    "undefined value": _one_node(helper.make_node("Relu", ["q"], ["y"], name="n")),
    "unknown attribute": _one_node(helper.make_node("Relu", ["x"], ["y"], name="n", foo=1)),
    "too many inputs": _one_node(helper.make_node("Add", ["x", "x", "x"], ["y"], name="n")),
    "output of another type": _one_node(helper.make_node("Relu", ["x"], ["y"], name="n"), output=INT64),
    "type not allowed": _one_node(
        helper.make_node("Relu", ["x"], ["y"], name="n"), given=TensorProto.STRING, output=TensorProto.STRING
    ),
    "shapes do not fit": _one_node(helper.make_node("Add", ["x", "z"], ["y"], name="n")),
    "opset of the future": _broken(opset=99),
    "IR version of the future": _broken(ir_version=99),
}


@pytest.mark.parametrize("case", BROKEN_MODELS)
def test_broken_models(case: str) -> None:
    made = BROKEN_MODELS[case]
    content = made if isinstance(made, bytes) else made.SerializeToString()
    assert_caught_alike(*(caught(lambda e=e: e.InferenceSession(content)) for e in ENGINES))


@pytest.mark.parametrize("name", ["missing.onnx", "garbage.onnx", "empty.onnx", "."])
@pytest.mark.parametrize("kind", [str, Path])
def test_files(name: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / "garbage.onnx").write_bytes(b"garbage")
    (tmp_path / "empty.onnx").write_bytes(b"")
    path = kind(tmp_path / name)
    ours, theirs = (caught(lambda e=e: e.InferenceSession(path)) for e in ENGINES)
    assert_caught_alike(ours, theirs)
    assert str(tmp_path) in str(ours)


def test_not_a_model_at_all() -> None:
    assert_caught_alike(*(caught(lambda e=e: e.InferenceSession(3)) for e in ENGINES))


FAILING_RUNS = {
    "inner sizes": (
        helper.make_node("MatMul", ["x", "z"], ["y"], name="n"),
        [tensor("x", ["a", "b"]), tensor("z", ["c", "d"])],
        {"x": np.ones((2, 3), np.float32), "z": np.ones((2, 3), np.float32)},
    ),
    "index out of range": (
        helper.make_node("Gather", ["x", "z"], ["y"], name="n"),
        [tensor("x", ["a"]), tensor("z", ["c"], INT64)],
        {"x": np.ones(3, np.float32), "z": np.array([7])},
    ),
    "reshape to another size": (
        helper.make_node("Reshape", ["x", "z"], ["y"], name="n"),
        [tensor("x", ["a"]), tensor("z", ["c"], INT64)],
        {"x": np.ones(3, np.float32), "z": np.array([7])},
    ),
}


@pytest.mark.parametrize("case", FAILING_RUNS)
@pytest.mark.filterwarnings("ignore:.*run in Python:RuntimeWarning")
def test_failing_runs(case: str) -> None:
    node, inputs, feeds = FAILING_RUNS[case]
    content = model([node], inputs, [tensor("y", None)]).SerializeToString()
    ours, theirs = (caught(lambda e=e: e.InferenceSession(content).run(None, feeds)) for e in ENGINES)
    assert_caught_alike(ours, theirs)
    assert "'n'" in str(ours) or "node n " in str(ours)


def test_terminated_run() -> None:
    def run(engine: ModuleType) -> Any:
        options = engine.RunOptions()
        options.terminate = True
        session = engine.InferenceSession(models.mlp().SerializeToString())
        return session.run(None, {"x": np.ones((1, 8), np.float32)}, options)

    assert_caught_alike(*(caught(lambda e=e: run(e)) for e in ENGINES))


# -- names, defaults and options -----------------------------------------------------------------------------------


def test_every_exception_class_exists() -> None:
    for name, value in vars(their_state).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(getattr(our_state, name), Exception)


@pytest.mark.parametrize(
    "name",
    [n for n, v in vars(onnxruntime).items() if hasattr(v, "__members__") and not n.startswith("ModelPackage")],
)
def test_enumerations(name: str) -> None:
    ours, theirs = getattr(sardonyx, name), getattr(onnxruntime, name)
    assert {n: int(v) for n, v in ours.__members__.items()} == {n: int(v) for n, v in theirs.__members__.items()}
    if name != "OrtDeviceVendorId":
        assert {str(v) for v in ours.__members__.values()} == {str(v) for v in theirs.__members__.values()}
    for value in theirs.__members__.values():
        assert repr(ours(int(value))) == repr(value)


def test_methods_take_the_same_arguments() -> None:
    for name in ("InferenceSession", "OrtValue", "IOBinding"):
        ours, theirs = getattr(sardonyx, name), getattr(onnxruntime, name)
        for method in dir(theirs):
            if method.startswith("_") and method != "__init__":
                continue
            if method in ("get_provider_graph_assignment_info", "release_captured_graph"):
                continue
            expected = list(inspect.signature(getattr(theirs, method)).parameters)
            if method != "__init__" or name == "InferenceSession":
                assert list(inspect.signature(getattr(ours, method)).parameters)[: len(expected)] == expected, method


def test_names_of_the_module() -> None:
    beyond = (
        "AdapterFormat",
        "Lora",
        "ModelCompiler",
        "ModelPackage",
        "OrtEpAssigned",
        "OrtEpContext",
        "OrtSyncStream",
    )
    inside = {
        "contextlib",
        "cuda_version",
        "import_capi_exception",
        "onnxruntime_validation",
        "package_name",
        "version",
    }
    inside |= {"OrtExternalInitializerInfo", "print_debug_info"}
    for name in dir(onnxruntime):
        if not name.startswith(("_", *beyond)) and name not in inside:
            assert hasattr(sardonyx, name)
            assert name in dir(sardonyx)


@pytest.mark.parametrize("name", ["SessionOptions", "RunOptions"])
def test_options_and_defaults(name: str) -> None:
    ours, theirs = getattr(sardonyx, name)(), getattr(onnxruntime, name)()
    elsewhere = {"profile_file_prefix", "add_active_adapter"} | {n for n in dir(theirs) if "ep_context" in n}
    for option in dir(theirs):
        if option.startswith("_") or option in elsewhere:
            continue
        value = getattr(theirs, option)
        if callable(value):
            assert callable(getattr(ours, option))
        else:
            assert repr(getattr(ours, option)) == repr(value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda o: o.get_session_config_entry("missing"),
        lambda o: o.add_session_config_entry("key", 1),
        lambda o: o.add_session_config_entry("", "1"),
        lambda o: o.add_session_config_entry("k" * 1025, "1"),
        lambda o: setattr(o, "no_such_option", 1),
        lambda o: setattr(o, "intra_op_num_threads", "x"),
        lambda o: setattr(o, "log_severity_level", "x"),
        lambda o: setattr(o, "logid", 3),
        lambda o: setattr(o, "optimized_model_filepath", 3),
        lambda o: o.register_custom_ops_library("/no/such/library.so"),
        lambda o: o.add_provider("Imaginary", {}),
        lambda o: o.add_initializer("b", np.ones(3)),
    ],
)
def test_wrong_options(wrong) -> None:
    ours, theirs = (caught(lambda e=e: wrong(e.SessionOptions())) for e in ENGINES)
    name = type(theirs).__name__
    assert isinstance(ours, getattr(our_state, name, type(theirs)))


def test_free_dimensions() -> None:
    made = models.mlp()
    made.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    for method, key in [("by_name", "batch"), ("by_denotation", "DATA_BATCH")]:
        shapes = []
        for engine in ENGINES:
            options = engine.SessionOptions()
            getattr(options, f"add_free_dimension_override_{method}")(key, 2)
            session = engine.InferenceSession(made.SerializeToString(), options)
            shapes.append([str(v) for v in (*session.get_inputs(), *session.get_outputs())])
            assert session.run(["y"], {"x": np.ones((2, 8), np.float32)})[0].shape == (2, 5)
        assert shapes[0] == shapes[1]


def test_cancelled_loading() -> None:
    options = sardonyx.SessionOptions()
    options.set_load_cancellation_flag(True)
    with pytest.raises(our_state.ModelLoadCanceled):
        sardonyx.InferenceSession(models.mlp(), options)


PROVIDERS: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "names": (["CPUExecutionProvider"], None),
    "pairs": ([("CPUExecutionProvider", {"a": 1})], None),
    "options": (["CPUExecutionProvider"], [{"use_arena": "1"}]),
    "empty": ([], None),
    "unknown": (["ImaginaryExecutionProvider"], None),
    "unknown and known": (["ImaginaryExecutionProvider", "CPUExecutionProvider"], None),
    "a number": ([3], None),
    "lengths": (["CPUExecutionProvider"], [{}, {}]),
}


@pytest.mark.parametrize("case", PROVIDERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_providers(case: str) -> None:
    providers, options = PROVIDERS[case]
    content = models.mlp().SerializeToString()
    sessions = [e.InferenceSession(content, providers=providers, provider_options=options) for e in ENGINES]
    assert sessions[0].get_providers() == sessions[1].get_providers()
    assert sessions[0].get_provider_options() == sessions[1].get_provider_options()


def test_malformed_providers_without_fallback() -> None:
    content = models.mlp().SerializeToString()
    ours, theirs = (caught(lambda e=e: e.InferenceSession(content, providers=[3], enable_fallback=0)) for e in ENGINES)
    assert type(ours) is type(theirs) is ValueError
    with pytest.warns(UserWarning, match="Duplicate"):
        sardonyx.InferenceSession(content, providers=["CPUExecutionProvider"] * 2)


def test_disabled_optimizers_of_onnxruntime() -> None:
    content = models.mlp().SerializeToString()
    session = sardonyx.InferenceSession(content, disabled_optimizers=["ConstantFolding", "NchwcTransformer"])
    assert session.get_session_options().disabled_passes == {"fold-constants"}


def test_module_functions() -> None:
    assert sardonyx.get_device() == onnxruntime.get_device()
    assert set(sardonyx.get_available_providers()) <= set(onnxruntime.get_available_providers())
    assert sardonyx.get_version_string() == sardonyx.__version__
    assert sardonyx.has_collective_ops() is onnxruntime.has_collective_ops() is False
    for name in ("get_build_info", "enable_telemetry_events", "disable_telemetry_events", "get_all_providers"):
        getattr(sardonyx, name)()
    assert caught(lambda: sardonyx.set_default_logger_severity(9))
    assert [d.ep_name for d in sardonyx.get_ep_devices()] == ["CPUExecutionProvider"]


def test_default_severity_silences_warnings() -> None:
    sardonyx.set_default_logger_severity(3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sardonyx.InferenceSession(models.sequences())
    finally:
        sardonyx.set_default_logger_severity(2)


# -- initializers and files from memory ----------------------------------------------------------------------------


def test_supplied_initializer() -> None:
    x, results = np.zeros((1, 8), np.float32), []
    for engine in ENGINES:
        options = engine.SessionOptions()
        value = engine.OrtValue.ortvalue_from_numpy(np.full(5, 3, np.float32))  # ONNX Runtime does not keep it alive
        options.add_initializer("b", value)
        options.add_initializer("unused", value)
        for _ in range(2):  # the second time from the cache
            results.append(engine.InferenceSession(models.mlp().SerializeToString(), options).run(["y"], {"x": x})[0])
    for result in results:
        np.testing.assert_array_equal(result, np.full((1, 5), 3, np.float32))
    assert (sardonyx.InferenceSession(models.mlp()).run(["y"], {"x": x})[0] != 3).any()


@pytest.mark.parametrize("wrong", [np.zeros(6, np.float32), np.zeros(5, np.int64)])
def test_supplied_initializer_of_another_kind(wrong: np.ndarray) -> None:
    options = sardonyx.SessionOptions()
    options.add_initializer("b", sardonyx.OrtValue.ortvalue_from_numpy(wrong))
    with pytest.raises(sardonyx.InvalidModelError, match="'b'"):
        sardonyx.InferenceSession(models.mlp(), options)


def _with_external_data(folder: Path) -> tuple[Path, bytes]:
    path = folder / "m.onnx"
    onnx.save(models.mlp(), path, save_as_external_data=True, location="m.data", size_threshold=0)
    data = (folder / "m.data").read_bytes()
    (folder / "m.data").unlink()
    return path, data


def test_external_data_from_memory(tmp_path: Path) -> None:
    path, data = _with_external_data(tmp_path)
    x = np.ones((2, 8), np.float32)
    expected = onnxruntime.InferenceSession(models.mlp().SerializeToString()).run(["y"], {"x": x})[0]
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in models.mlp().graph.initializer}
    for engine in ENGINES:
        files = engine.SessionOptions()
        files.add_external_initializers_from_files_in_memory(["m.data"], [data], [len(data)])
        arrays = engine.SessionOptions()
        values = [engine.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        arrays.add_external_initializers(list(weights), values)
        for options in (files, arrays):
            for source in (str(path), path.read_bytes()):
                for _ in range(2):
                    got = engine.InferenceSession(source, options).run(["y"], {"x": x})[0]
                    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert_caught_alike(*(caught(lambda e=e: e.InferenceSession(str(path))) for e in ENGINES))


def test_external_initializer_that_the_model_does_not_have() -> None:
    def load(engine: ModuleType) -> Any:
        options = engine.SessionOptions()
        value = engine.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32))
        options.add_external_initializers(["nope"], [value])
        return engine.InferenceSession(models.mlp().SerializeToString(), options)

    ours, theirs = (caught(lambda e=e: load(e)) for e in ENGINES)
    assert_caught_alike(ours, theirs)
    assert "nope" in str(ours)


def test_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "onnxruntime.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "onnxruntime.md", "exec"), {})
    assert "input 'x': expected x: tensor(float) [batch, 8], got an array of float64" in capsys.readouterr().out


# -- logs, allocators, providers -----------------------------------------------------------------------------------


def test_logging_callback() -> None:
    messages: list[tuple] = []
    for engine in ENGINES:
        engine.set_default_logger_callback(lambda *message: messages.append(message), severity=0)
        try:
            engine.InferenceSession(models.mlp().SerializeToString())
            assert messages
            for severity, *texts in messages:
                assert isinstance(severity, int)
                assert len(texts) == 4
                assert all(isinstance(text, str) for text in texts)
            if engine is sardonyx:  # the other prints it
                engine.set_default_logger_callback(lambda *message: 1 / 0, severity=0)
                engine.InferenceSession(models.mlp().SerializeToString())
            for wrong in (("text", 2), (None, 5), (None, -1)):
                with pytest.raises(RuntimeError):
                    engine.set_default_logger_callback(*wrong)
        finally:
            engine.set_default_logger_callback(None)
            engine.set_default_logger_severity(4 if engine is onnxruntime else 2)
        count = len(messages)
        engine.InferenceSession(models.mlp().SerializeToString())
        assert len(messages) == count
        messages.clear()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_set_providers() -> None:
    content = models.mlp().SerializeToString()
    for engine in ENGINES:
        session = engine.InferenceSession(content)
        session.set_providers(["CPUExecutionProvider"], [{}])
        assert session.get_providers() == ["CPUExecutionProvider"]
        with pytest.raises(RuntimeError, match="Unknown Provider Type: InvalidProvider"):
            session.set_providers(["InvalidProvider"])


@pytest.mark.parametrize(
    "arguments",
    [
        (None, None),
        (["a", "b"], None),
        ([("a", {1: 2}), "b"], None),
        (["a", "b"], [{1: 2}, {}]),
        (["a", "b", "a"], [{"x": 1}, {}, {"y": 2}]),
        (3, None),
        ([3], None),
        (["a"], 3),
        (["a"], ["no dictionary"]),
        (["a", "b"], [{}]),
        ([("a", {})], [{}]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_arguments_for_providers(arguments: tuple) -> None:
    from onnxruntime.capi import onnxruntime_inference_collection as theirs

    from sardonyx.capi import onnxruntime_inference_collection as ours

    results = []
    for module in (ours, theirs):
        try:
            results.append(tuple(module.check_and_normalize_provider_args(*arguments, ["a", "b", "c"])))
        except ValueError:
            results.append("ValueError")
    assert results[0] == results[1]


def test_what_is_accepted() -> None:
    info = sardonyx.OrtMemoryInfo("Cpu", sardonyx.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, sardonyx.OrtMemType.DEFAULT)
    sardonyx.create_and_register_allocator(info, None)
    sardonyx.create_and_register_allocator_v2("CPUExecutionProvider", info, {}, sardonyx.OrtArenaCfg(0, -1, -1, -1))
    sardonyx.preload_dlls()
    sardonyx.set_global_thread_pool_sizes(2)
    session = sardonyx.InferenceSession(models.mlp())
    assert session.get_tuning_results() == []
    session.set_tuning_results([{"ep": "x"}])
    with pytest.raises(RuntimeError, match="x"):
        session.set_tuning_results([{"ep": "x"}], error_on_invalid=True)
    with pytest.raises(RuntimeError, match="library for ONNX Runtime"):
        sardonyx.register_execution_provider_library("x", "x.so")
    assert "Build Info" in sardonyx.get_build_info()


def test_saved_model_with_external_initializers(tmp_path: Path) -> None:
    for engine in ENGINES:
        options, folder = engine.SessionOptions(), tmp_path / engine.__name__
        folder.mkdir()
        options.optimized_model_filepath = str(folder / "saved.onnx")
        key = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{key}_file_name", "weights.bin")
        options.add_session_config_entry(f"{key}_min_size_in_bytes", "30")
        engine.InferenceSession(models.mlp().SerializeToString(), options)
        assert (folder / "weights.bin").stat().st_size >= 8 * 5 * 4
    x = np.ones((2, 8), np.float32)
    path = tmp_path / "sardonyx" / "saved.onnx"
    results = [engine.InferenceSession(str(path)).run(["y"], {"x": x})[0] for engine in ENGINES]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


# -- strings, sequences, optionals, outputs that are inputs --------------------------------------------------------


def test_strings_of_every_kind() -> None:
    content = models.model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", [2], TensorProto.STRING)],
        [tensor("y", [2], TensorProto.STRING)],
    ).SerializeToString()
    forms = {
        "str": np.array(["Olá", "你好"]),
        "bytes": np.array([b"a", b"bc"], "S4"),
        "object": np.array(["a", "b"], object),
        "list": ["a", "b"],
    }
    sessions = [engine.InferenceSession(content) for engine in ENGINES]
    for form in forms.values():
        ours, theirs = (session.run(None, {"x": form})[0] for session in sessions)
        assert ours.tolist() == theirs.tolist()
        assert ours.dtype == theirs.dtype
    void = np.array([b"must", b"have"], dtype=np.void)
    assert sessions[0].run(None, {"x": void})[0].tolist() == ["must", "have"]
    new = np.array(["a", "long string " * 10], np.dtypes.StringDType())
    assert sessions[0].run(None, {"x": new})[0].tolist() == new.tolist()


def test_input_that_is_an_output() -> None:
    made = model([helper.make_node("Add", ["x", "x"], ["y"])], [tensor("x", [2])], [tensor("y", [2]), tensor("x", [2])])
    for engine in ENGINES:
        session = engine.InferenceSession(made.SerializeToString())
        x = np.ones(2, np.float32)
        y, again = session.run(None, {"x": x})
        assert not np.shares_memory(again, x)
        assert (y.tolist(), again.tolist()) == ([2, 2], [1, 1])


@pytest.mark.filterwarnings("ignore:.*run in Python:RuntimeWarning")
def test_optional_input() -> None:
    kind = helper.make_optional_type_proto(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [5]))
    )
    made = model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [helper.make_value_info("x", kind)],
        [helper.make_value_info("y", kind)],
    )
    x = [np.arange(5, dtype=np.float32)]
    for engine in ENGINES:
        session = engine.InferenceSession(made.SerializeToString())
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)
        assert session.run(None, {"x": None})[0] is None


def test_profile_has_an_event_a_line(tmp_path: Path) -> None:
    for engine in ENGINES:
        options = engine.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / engine.__name__)
        session = engine.InferenceSession(models.mlp().SerializeToString(), options)
        session.run(None, {"x": np.ones((1, 8), np.float32)})
        lines = Path(session.end_profiling()).read_text().splitlines()
        assert (lines[0], lines[-1]) == ("[", "]")
        assert all(f'"{tag}"' in line for line in lines[1:-1] for tag in ("pid", "dur", "ts", "ph", "name", "args"))


def test_capsules() -> None:
    array = np.ones((2, 3), np.float32)
    value = sardonyx.OrtValue.ortvalue_from_numpy(array)._ortvalue
    for capsule in (value.to_dlpack(), value.__dlpack__(), array.__dlpack__()):
        assert not our_state.is_dlpack_uint8_tensor(capsule)
        assert our_state.OrtValue.from_dlpack(capsule, False).data_ptr() == array.ctypes.data
    old = our_state.OrtValue.from_dlpack(np.array([0, 1], np.uint8).__dlpack__(), True)
    assert old.numpy().tolist() == [False, True]
