"""IOBinding, asynchronous runs, and sessions that travel: against ONNX Runtime where it has the same."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import pickle
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import sardonyx
from session import models

ENGINES = [sardonyx, onnxruntime]
X = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def open_both() -> list:
    content = models.mlp().SerializeToString()
    return [engine.InferenceSession(content) for engine in ENGINES]


def expected() -> np.ndarray:
    return open_both()[1].run(["y"], {"x": X})[0]


def test_arrays_in_new_values_out() -> None:
    for engine, session in zip(ENGINES, open_both(), strict=True):
        binding = session.io_binding()
        assert isinstance(binding, engine.IOBinding)
        binding.bind_cpu_input("x", X)
        binding.bind_output("s")
        binding.bind_output("y", "cpu")
        session.run_with_iobinding(binding)
        binding.synchronize_inputs()
        binding.synchronize_outputs()
        s, y = binding.copy_outputs_to_cpu()
        np.testing.assert_allclose(y, expected(), rtol=1e-5)
        np.testing.assert_allclose(s, expected().sum(), rtol=1e-5)
        assert [v.shape() for v in binding.get_outputs()] == [[], [2, 5]]
        assert len(binding.get_outputs_as_ortvaluevector()) == 2
        binding.clear_binding_outputs()
        assert binding.get_outputs() == []


def test_memory_of_the_caller() -> None:
    for engine, session in zip(ENGINES, open_both(), strict=True):
        binding = session.io_binding()
        given, result = X.copy(), np.zeros((2, 5), np.float32)
        binding.bind_input("x", "cpu", 0, np.float32, [2, 8], given.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, (2, 5), result.ctypes.data)
        session.run_with_iobinding(binding)
        np.testing.assert_allclose(result, expected(), rtol=1e-5)
        given[:] = 0
        binding.bind_input(
            name="x",
            device_type="cpu",
            device_id=0,
            element_type=np.float32,
            shape=(2, 8),
            buffer_ptr=given.ctypes.data,
        )
        session.run_with_iobinding(binding)
        np.testing.assert_allclose(result, session.run(["y"], {"x": given})[0], rtol=1e-5)
        value = engine.OrtValue.ortvalue_from_shape_and_type([2, 5], np.float32)
        binding.bind_ortvalue_input("x", engine.OrtValue.ortvalue_from_numpy(X))
        binding.bind_ortvalue_output("y", value)
        session.run_with_iobinding(binding)
        np.testing.assert_allclose(value.numpy(), expected(), rtol=1e-5)
        assert binding.get_outputs()[0].data_ptr() == value.data_ptr()


def test_an_output_over_its_own_input() -> None:
    made = models.model(
        [onnx.helper.make_node("MatMul", ["x", "x"], ["y"])], [models.tensor("x", [8, 8])], [models.tensor("y", [8, 8])]
    )
    session = sardonyx.InferenceSession(made)
    memory = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float32)
    wanted = session.run(None, {"x": memory})[0]
    binding, value = session.io_binding(), sardonyx.OrtValue.ortvalue_from_numpy(memory)
    binding.bind_ortvalue_input("x", value)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(memory, wanted)


def _bind(binding, **changes) -> None:
    binding.bind_cpu_input(changes.get("input", "x"), changes.get("array", X))
    if "output" in changes:
        binding.bind_ortvalue_output("y", changes["output"])
    elif changes.get("wants", True):
        binding.bind_output("y")


def _bind_and_run(session, binding, changes: dict) -> None:
    _bind(binding, **changes)
    session.run_with_iobinding(binding)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda e: {"input": "zz"},
        lambda e: {"array": X[0]},
        lambda e: {"array": X.astype(np.float64)},
        lambda e: {"wants": False},
        lambda e: {"output": e.OrtValue.ortvalue_from_shape_and_type([3, 5], np.float32)},
        lambda e: {"output": e.OrtValue.ortvalue_from_shape_and_type([2, 5], np.int64)},
    ],
)
def test_wrong_bindings(wrong) -> None:
    onnxruntime.set_default_logger_severity(4)
    for engine, session in zip(ENGINES, open_both(), strict=True):
        binding = session.io_binding()

        with pytest.raises(RuntimeError) as caught:
            _bind_and_run(session, binding, wrong(engine))
        assert engine is onnxruntime or isinstance(caught.value, sardonyx.SardonyxError)
    onnxruntime.set_default_logger_severity(2)


def test_missing_input_foreign_binding_and_device() -> None:
    first, second = (sardonyx.InferenceSession(models.mlp()) for _ in range(2))
    binding = first.io_binding()
    binding.bind_output("y")
    with pytest.raises(RuntimeError, match="missing input 'x'"):
        first.run_with_iobinding(binding)
    with pytest.raises(ValueError, match="session that created it"):
        second.run_with_iobinding(binding)
    with pytest.raises(RuntimeError, match="CPU"):
        binding.bind_output("y", "cuda")
    with pytest.raises(RuntimeError, match="unknown output 'nope'"):
        binding.bind_output("nope")
    with pytest.raises(RuntimeError, match="null pointer"):
        binding.bind_input("x", "cpu", 0, np.float32, [2, 8], 0)
    with pytest.raises(ValueError, match="element_type"):
        binding.bind_output("y", "cpu", 0, None, None, 4096)


@pytest.mark.parametrize("engine", ENGINES)
def test_asynchronous_run(engine) -> None:
    options = engine.SessionOptions()
    options.intra_op_num_threads = 2
    session = engine.InferenceSession(models.mlp().SerializeToString(), options)
    done, calls = threading.Event(), []

    def callback(results, user_data, error) -> None:
        calls.append((results, user_data, error, threading.get_ident()))
        done.set()

    session.run_async(["y"], {"x": X}, callback, "mine")
    assert done.wait(30)
    results, user_data, error, thread = calls.pop()
    np.testing.assert_allclose(results[0], expected(), rtol=1e-5)
    assert (user_data, error) == ("mine", "")
    assert thread != threading.get_ident()
    done.clear()
    session.run_async(["y"], {"x": X[0]}, callback, None)
    assert done.wait(30)
    results, _, error, _ = calls.pop()
    assert len(results) == 0
    assert "x" in error
    with pytest.raises(ValueError, match="missing"):
        session.run_async(["y"], {}, callback, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_inner_objects(engine) -> None:
    """What programs do that go below the public classes."""
    state = importlib.import_module(f"{engine.__name__}.capi._pybind_state")
    device = state.OrtDevice(state.OrtDevice.cpu(), state.OrtDevice.default_memory(), 0)
    session = engine.InferenceSession(models.mlp().SerializeToString())
    value = state.OrtValue.ortvalue_from_numpy(X, device)
    binding = state.SessionIOBinding(session._sess)
    binding.bind_ortvalue_input("x", value)
    binding.bind_output("y", device)
    session._sess.run_with_iobinding(binding, None)
    np.testing.assert_allclose(binding.get_outputs()[0].numpy(), expected(), rtol=1e-5)
    binding.bind_input("x", device, np.float32, [2, 8], X.ctypes.data)
    binding.bind_input("x", X)
    session._sess.run_with_iobinding(binding, None)
    found = session._sess.run_with_ort_values({"x": value}, ["y"], state.RunOptions())
    assert isinstance(found, state.OrtValueVector)
    np.testing.assert_allclose(found[0].numpy(), expected(), rtol=1e-5)


def test_vectors() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    fetches = sardonyx.OrtValueVector()
    session.run_with_ortvaluevector(None, ["x"], [sardonyx.OrtValue.ortvalue_from_numpy(X)], ["y"], fetches, [])
    np.testing.assert_allclose(fetches[0].numpy(), expected(), rtol=1e-5)


# -- copies and other processes -------------------------------------------------------------------------------------


def test_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = 1
    options.on_progress = lambda what, done, total: None
    options.add_session_config_entry("key", "value")
    options.add_initializer("b", sardonyx.OrtValue.ortvalue_from_numpy(np.zeros(5, np.float32)))
    sessions = [sardonyx.InferenceSession(m, options) for m in ("m.onnx", models.mlp().SerializeToString())]
    monkeypatch.chdir("/")
    for session in sessions:
        again = pickle.loads(pickle.dumps(session))
        np.testing.assert_array_equal(again.run(["y"], {"x": X})[0], session.run(["y"], {"x": X})[0])
        assert again.get_session_options().intra_op_num_threads == 1
        assert again.get_session_options().get_session_config_entry("key") == "value"
    model = pickle.loads(pickle.dumps(sardonyx.load(models.mlp())))
    np.testing.assert_allclose(model(X)["y"], expected(), rtol=1e-5)


def test_copies() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    for made in (copy.copy(session), copy.deepcopy(session)):
        assert made.program is session.program
        np.testing.assert_array_equal(made.run(["y"], {"x": X})[0], session.run(["y"], {"x": X})[0])
    assert copy.deepcopy(session).get_session_options() is not session.get_session_options()


def _in_another_process(session: sardonyx.InferenceSession) -> np.ndarray:
    return session.run(["y"], {"x": X})[0]


def test_spawned_process() -> None:
    session = sardonyx.InferenceSession(models.mlp())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_in_another_process, (session,))
    np.testing.assert_array_equal(result, session.run(["y"], {"x": X})[0])
