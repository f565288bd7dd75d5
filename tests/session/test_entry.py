"""``run`` through the native door: the same answers, errors and references as the Python function behind it."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from sardonyx.runtime import entry


def model(types: dict[str, int], nodes: list[onnx.NodeProto], outputs: dict[str, int]) -> bytes:
    inputs = [helper.make_tensor_value_info(name, kind, ["n", "m"]) for name, kind in types.items()]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    graph = helper.make_graph(nodes, "g", inputs, results)
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()
    return made


def two_outputs() -> sardonyx.InferenceSession:
    """sum = a + b, less = a < b."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Less", ["a", "b"], ["less"])]
    types = {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT}
    return sardonyx.InferenceSession(model(types, nodes, {"sum": TensorProto.FLOAT, "less": TensorProto.BOOL}))


@pytest.fixture(scope="module")
def session() -> sardonyx.InferenceSession:
    return two_outputs()


def feeds(rows: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((rows, 3), np.float32) for name in "ab"}


def check(session: sardonyx.InferenceSession, given: dict[str, npt.NDArray[Any]]) -> None:
    total, less = session.run(None, given)
    np.testing.assert_array_equal(total, given["a"] + given["b"])
    np.testing.assert_array_equal(less, given["a"] < given["b"])
    assert (total.dtype, less.dtype, total.flags.owndata) == (np.float32, np.bool_, True)


def is_open(session: sardonyx.InferenceSession) -> bool:
    door = session._runner._door
    return door is not None and int(door._words[0]) == 1


def opened(session: sardonyx.InferenceSession, given: dict[str, npt.NDArray[Any]]) -> None:
    for _ in range(3):
        check(session, given)
    assert is_open(session)


def test_this_interpreter_has_the_door(session: sardonyx.InferenceSession) -> None:
    assert type(session.run).__name__ == "builtin_function_or_method"


def test_every_call_is_right_as_sizes_change(session: sardonyx.InferenceSession) -> None:
    for rows in [4, 4, 4, 0, 0, 0, 7, 4, 7, 4, 1, 1, 1, 4]:
        check(session, feeds(rows, rows))


def test_results_are_new_arrays(session: sardonyx.InferenceSession) -> None:
    opened(session, feeds(4))
    first, second = session.run(None, feeds(4))[0], session.run(None, feeds(4))[0]
    assert first is not second
    first[:] = 0
    assert second.any()


def test_a_list_of_all_names_is_the_ordinary_case_and_others_work(session: sardonyx.InferenceSession) -> None:
    given = feeds(4)
    opened(session, given)
    assert [r.dtype for r in session.run(["sum", "less"], given)] == [np.float32, np.bool_]
    assert [r.dtype for r in session.run(["less", "sum"], given)] == [np.bool_, np.float32]
    assert [r.dtype for r in session.run(("less",), given)] == [np.bool_]
    assert len(session.run([], given)) == 2
    assert len(session.run(output_names=None, input_feed=given)) == 2
    assert len(session.run(None, given, sardonyx.RunOptions())) == 2
    with pytest.raises(sardonyx.InvalidInputError, match="unknown output"):
        session.run(["nothing", "sum"], given)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float64),
        lambda a: a[:, :2],
        lambda a: a[0],
        lambda a: a.astype(np.int32),
        lambda a: a.astype(">f4")[:, :1],
    ],
)
def test_wrong_arrays_are_refused_as_ever(session: sardonyx.InferenceSession, change: Any) -> None:
    given = feeds(4)
    opened(session, given)
    with pytest.raises(sardonyx.InvalidInputError):
        session.run(None, given | {"b": change(given["b"])})
    check(session, given)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.tolist(),
        lambda a: np.ma.masked_array(a),
        lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape),
        lambda a: a.astype(">f4"),
    ],
)
def test_other_layouts_and_types_of_array_are_taken(session: sardonyx.InferenceSession, change: Any) -> None:
    given = feeds(4)
    opened(session, given)
    total, _ = session.run(None, given | {"a": change(given["a"])})
    np.testing.assert_array_equal(total, given["a"] + given["b"])


def test_names_that_do_not_fit_are_refused_as_ever(session: sardonyx.InferenceSession) -> None:
    given = feeds(4)
    opened(session, given)
    with pytest.raises(sardonyx.InvalidInputError, match="missing input 'b'"):
        session.run(None, {"a": given["a"]})
    with pytest.raises(sardonyx.InvalidInputError, match="unknown input 'c'"):
        session.run(None, {"a": given["a"], "c": given["b"]})
    with pytest.raises(TypeError):
        session.run(None)
    with pytest.raises(TypeError):
        session.run(None, given, None, None)


class Odd(str):
    """A key whose comparison raises."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError("odd")


def test_an_exception_in_a_comparison_of_keys_reaches_the_caller(session: sardonyx.InferenceSession) -> None:
    given = feeds(4)
    opened(session, given)
    with pytest.raises(ValueError, match="odd"):
        session.run(None, {Odd("a"): given["a"], Odd("b"): given["b"]})
    check(session, given)


def test_a_failing_run_says_what_fails() -> None:
    types = {"x": TensorProto.FLOAT, "i": TensorProto.INT64}
    source = model(types, [helper.make_node("Gather", ["x", "i"], ["z"], "pick")], {"z": TensorProto.FLOAT})
    session = sardonyx.InferenceSession(source)
    x, i = np.arange(2, dtype=np.float32).reshape(2, 1), np.array([[1], [0]])
    for _ in range(4):
        assert session.run(None, {"x": x, "i": i})[0].reshape(-1).tolist() == [1, 0]
    assert is_open(session)
    with pytest.raises(sardonyx.ExecutionError, match=r"pick.*out of range"):
        session.run(None, {"x": x, "i": i + 7})
    assert session.run(None, {"x": x, "i": i})[0].reshape(-1).tolist() == [1, 0]


def test_no_reference_is_lost_or_kept(session: sardonyx.InferenceSession) -> None:
    given = feeds(4)
    opened(session, given)
    before = [sys.getrefcount(a) for a in given.values()], sys.getrefcount(np.dtype(np.float32)), sys.getrefcount(None)
    for _ in range(1000):
        session.run(None, given)
        session.run(["sum", "less"], given)
    after = [sys.getrefcount(a) for a in given.values()], sys.getrefcount(np.dtype(np.float32)), sys.getrefcount(None)
    assert before[0] == after[0]
    assert abs(before[1] - after[1]) < 50
    assert abs(before[2] - after[2]) < 200
    result = session.run(None, given)[0]
    assert sys.getrefcount(result) == 2


def test_a_session_is_freed_without_the_collector_and_its_function_outlives_it() -> None:
    session = two_outputs()
    given = feeds(4)
    opened(session, given)
    run, alive = session.run, weakref.ref(session)
    gc.disable()
    try:
        del session
        assert alive() is None
    finally:
        gc.enable()
    gc.collect()
    np.testing.assert_array_equal(run(None, given)[0], given["a"] + given["b"])
    np.testing.assert_array_equal(run(None, feeds(9))[0], feeds(9)["a"] + feeds(9)["b"])


def test_threads_share_a_session(session: sardonyx.InferenceSession) -> None:
    failures: list[object] = []

    def work(seed: int) -> None:
        try:
            for k in range(300):
                check(session, feeds(4 + (seed + k // 50) % 3, seed))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_fork_closes_the_door() -> None:
    options = sardonyx.SessionOptions(intra_op_num_threads=2)
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    source = model({"a": TensorProto.FLOAT, "b": TensorProto.FLOAT}, nodes, {"c": TensorProto.FLOAT})
    session = sardonyx.InferenceSession(source, options)
    given = {name: np.ones((256, 256), np.float32) for name in "ab"}
    for _ in range(4):
        session.run(None, given)
    assert is_open(session)
    child = os.fork()
    if child == 0:
        fine = all((session.run(None, given)[0] == 256).all() for _ in range(4))
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0


class Counting(sardonyx.InferenceSession):
    calls = 0

    def run(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        return super().run(*arguments, **named)


def test_a_class_that_overrides_run_keeps_its_own() -> None:
    source = model({"a": TensorProto.FLOAT}, [helper.make_node("Neg", ["a"], ["y"])], {"y": TensorProto.FLOAT})
    session = Counting(source)
    for _ in range(3):
        session.run(None, {"a": np.ones((1, 1), np.float32)})
    assert session.calls == 3


def test_sessions_pickle_with_a_door(session: sardonyx.InferenceSession) -> None:
    opened(session, feeds(4))
    opened(pickle.loads(pickle.dumps(session)), feeds(4))


def test_other_interpreters_take_the_ordinary_road(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_is_known_interpreter", lambda: False)
    session = two_outputs()
    assert type(session.run).__name__ == "method"
    check(session, feeds(4))
