"""A hand-made native step: sizes, checks, memory, conversions, failures, concurrency."""

from __future__ import annotations

import resource
import threading

import numpy as np
import pytest

from runtime.native import scale_region
from sardonyx.errors import ExecutionError, InvalidInputError, MemoryLimitError
from sardonyx.runtime.native import NativeStep
from sardonyx.runtime.pool import SERIAL
from sardonyx.runtime.program import Region


@pytest.fixture(scope="module")
def step() -> NativeStep:
    made = scale_region()
    made.load(SERIAL, 1 << 26)
    return made


def _expected(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    return x * np.float32(3.0) + np.float32(k), np.arange(min(x.shape[0], k), dtype=np.float32)


def _run(step: NativeStep, x: np.ndarray, k: int) -> None:
    y, z = step.run([x, np.array([99, k])])
    wanted_y, wanted_z = _expected(x, k)
    np.testing.assert_array_equal(y, wanted_y)
    np.testing.assert_array_equal(z, wanted_z)


def test_sizes_and_elements(step: NativeStep) -> None:
    draw = np.random.default_rng(0)
    for n, m, k in [(1, 1, 0), (3, 5, 2), (0, 4, 3), (7, 0, 12), (2, 9, 100), (3, 5, 2)]:
        _run(step, draw.standard_normal((n, m)).astype(np.float32), k)


def test_memory_layouts(step: NativeStep) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    misaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 6)
    for variant in (x.T.copy().T, x[::2, ::-1], x.astype(">f4"), misaligned):
        y, _ = step.run([variant, np.array([0, 1])])
        np.testing.assert_array_equal(y, np.asarray(variant, np.float32) * 3 + 1)


def test_outputs_are_fresh(step: NativeStep) -> None:
    x = np.ones((2, 2), np.float32)
    first, _ = step.run([x, np.array([0, 1])])
    second, _ = step.run([x * 5, np.array([0, 1])])
    assert first[0, 0] == 4
    assert second[0, 0] == 16
    assert first.flags.writeable
    assert first.base is None


@pytest.mark.parametrize(
    ("x", "k", "message"),
    [
        (np.zeros((2, 2, 2), np.float32), [0, 1], "'x': expected rank 2"),
        (np.zeros((2, 2), np.float64), [0, 1], "'x': expected float32, got float64"),
        (np.zeros((2, 2), np.float32), [0, 1, 2], "'k': expected 2 along axis 0, got 3"),
        (np.zeros((2, 2), np.float32), [0], "'k': expected at least 2 elements"),
        (np.zeros((2, 2), np.float32), 5, "'k': expected at least 2 elements"),
        (np.zeros((2, 2), np.float32), [0, -1], "'cut': k must not be negative"),
    ],
)
def test_wrong_inputs(step: NativeStep, x: np.ndarray, k: list[int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        step.run([x, np.array(k)])
    _run(step, np.ones((2, 2), np.float32), 3)


def test_memory_limit(step: NativeStep) -> None:
    with pytest.raises(MemoryLimitError, match="more than the limit"):
        step.run([np.zeros((2, 2), np.float32), np.array([0, 1 << 40])])
    with pytest.raises(MemoryLimitError, match=r"2\*\*47"):
        step.run([np.zeros((2, 2), np.float32), np.array([0, 1 << 60])])
    small = scale_region()
    with pytest.raises(MemoryLimitError, match="packed weights"):
        small.load(SERIAL, 3)


def test_failed_check_names_the_node(step: NativeStep) -> None:
    with pytest.raises(ExecutionError, match=r"'cut'.*index is out of range"):
        step.run([np.zeros((2, 2), np.float32), np.array([0, 13])])
    _run(step, np.ones((2, 2), np.float32), 3)


def test_several_threads(step: NativeStep) -> None:
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        draw = np.random.default_rng(seed)
        try:
            for _ in range(200):
                n, m, k = draw.integers(0, 40, 3)
                _run(step, draw.standard_normal((n, m)).astype(np.float32), int(k) if k != 13 else 12)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_memory_stays_flat(step: NativeStep) -> None:
    draw = np.random.default_rng(1)

    def turns(count: int) -> int:
        for _ in range(count):
            n, m = draw.integers(1, 400, 2)
            step.run([np.zeros((n, m), np.float32), np.array([0, 1])])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = turns(300)
    assert turns(2000) - before < 4 << 10  # KiB


def test_description_survives_json(step: NativeStep) -> None:
    import json

    assert Region.from_json(json.loads(json.dumps(step.region.to_json()))) == step.region
