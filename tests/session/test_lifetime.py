"""What a load takes is given back with the last session: counts of live objects and bytes, not resident memory."""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from llvmlite.binding.orcjit import LLJIT, ResourceTracker
from onnx import TensorProto, helper

import sardonyx
from sardonyx.lang.loader import Loaded
from sardonyx.runtime.native import NativeStep

ACTIVATIONS = ["Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Softplus", "Elu", "Erf"]
WARM, COUNTED = 36, 32
"""A linker takes 32 libraries and gives their names back together; the first one stays with the pool's code."""
BYTES_EACH = 8 << 10
"""More than a call may keep; one that keeps a pass manager or a linked library keeps 80 KB or 10 KB of each module."""


class _Malloc(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "mapped", "usmblks", "fsmblks", "used", "free", "top")
    )


def bytes_in_use() -> int:
    """What malloc has given out; 0 where the C library does not say."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Malloc
    memory = library.mallinfo2()
    return int(memory.used + memory.mapped)


def live() -> dict[str, int]:
    """How many there are of what a load makes."""
    gc.collect()
    kinds = (Loaded, ResourceTracker, LLJIT, NativeStep, sardonyx.InferenceSession)
    return {kind.__name__: sum(issubclass(type(item), kind) for item in gc.get_objects()) for kind in kinds}


def chain(number: int) -> onnx.ModelProto:
    """A model that is another one for each number below 512."""
    operators = [ACTIVATIONS[number // 8**place % 8] for place in range(3)]
    names = ["x", "a", "b", "y"]
    nodes = [helper.make_node(op_type, [names[k]], [names[k + 1]]) for k, op_type in enumerate(operators)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    return helper.make_model(helper.make_graph(nodes, "chain", [x], [y]))


def gather() -> onnx.ModelProto:
    """Its runs raise where an index is out of range."""
    data = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    index = helper.make_tensor_value_info("i", TensorProto.INT64, ["k"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["k"])
    graph = helper.make_graph([helper.make_node("Gather", ["x", "i"], ["y"])], "gather", [data, index], [result])
    return helper.make_model(graph)


def uncached(model: onnx.ModelProto) -> sardonyx.InferenceSession:
    options = sardonyx.SessionOptions()
    options.use_cache = False
    return sardonyx.InferenceSession(model.SerializeToString(), options)


def load_different() -> Callable[[int], None]:
    x = np.ones(5, np.float32)
    return lambda number: uncached(chain(number)).run(None, {"x": x})[0].sum()


def load_cached() -> Callable[[int], None]:
    contents = [chain(number).SerializeToString() for number in range(5)]

    def load(number: int) -> None:
        sessions = [sardonyx.InferenceSession(contents[number % len(contents)]) for _ in range(2)]
        for session in sessions:
            session.run(None, {"x": np.ones(5, np.float32)})

    return load


def refuse_models() -> Callable[[int], None]:
    def load(number: int) -> None:
        model = chain(number)
        model.graph.node[number % 3].op_type = f"Unknown{number}"
        with pytest.raises(sardonyx.UnsupportedOpError):
            uncached(model)
        with pytest.raises(sardonyx.InvalidModelError):
            sardonyx.InferenceSession(chain(number).SerializeToString()[: -5 - number % 20])

    return load


def refuse_runs() -> Callable[[int], None]:
    session = uncached(gather())

    def run(number: int) -> None:
        with pytest.raises(sardonyx.ExecutionError):
            session.run(None, {"x": np.ones(4, np.float32), "i": np.array([0, 4 + number])})

    return run


SERIES = {make.__name__: make for make in (load_different, load_cached, refuse_models, refuse_runs)}


def measure(name: str) -> None:
    """Prints what is alive after warming up, after the calls that count, and the bytes each of these has kept."""
    work = SERIES[name]()
    for number in range(WARM):
        work(number)
    before, used = live(), bytes_in_use()
    for number in range(WARM, WARM + COUNTED):
        work(number)
    after, kept = live(), bytes_in_use() - used
    print(json.dumps({"before": before, "after": after, "bytes_each": kept / COUNTED}))


@pytest.mark.parametrize("name", SERIES)
def test_nothing_is_kept(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path))
    script = f"import sys; sys.path[:] = {sys.path!r}; from session.test_lifetime import measure; measure({name!r})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    before, after = found["before"], found["after"]
    assert before.pop("LLJIT") <= 2  # the pool's and the newest
    assert after.pop("LLJIT") <= 2
    assert after == before
    assert found["bytes_each"] < BYTES_EACH


def test_code_outlives_a_dropped_session_until_its_run_is_over() -> None:
    uncached(chain(72))  # the pool's code stays
    base = live()
    results = []

    def finished(values: list[np.ndarray], user_data: object, error: str) -> None:
        results.extend(values)

    x = np.linspace(-3, 3, 1 << 20, dtype=np.float32)
    session = uncached(chain(73))
    expected = session.run(None, {"x": x})[0]
    for _ in range(4):
        session.run_async(None, {"x": x}, finished, None)
    del session
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "sardonyx-run-async":
            thread.join(60)
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert live() | {"LLJIT": 0} == base | {"LLJIT": 0}
