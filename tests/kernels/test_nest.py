"""The kernels over nests (reductions, softmax, normalisations, selections) on every target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext
from sardonyx.kernels.nest import COLUMNS, Nest
from sardonyx.kernels.spec import kernel_text
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.ops.argmax import ArgMax
from sardonyx.ops.base import Anchor
from sardonyx.ops.normalization import GroupNormalization, LayerNormalization
from sardonyx.ops.reduction import ReduceL2, ReduceLogSumExp, ReduceMax
from sardonyx.ops.softmax import LogSoftmax, Softmax
from sardonyx.ops.topk import TopK
from sardonyx.symbols import symbol
from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, WASM, Target

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 8, 37)).astype(np.float32)
CHANNELS = RNG.normal(size=8).astype(np.float32)

CASES: list[tuple[Anchor, list[Array], int]] = [
    (ReduceL2(), [X, np.array([2])], 1),
    (ReduceLogSumExp(), [X, np.array([1])], 1),
    (ReduceMax(), [X.astype(np.float16), np.array([0, 2])], 1),
    (Softmax(), [X], 1),
    (LogSoftmax(axis=1), [X], 1),
    (LayerNormalization(axis=1), [X, X[0]], 3),
    (GroupNormalization(num_groups=2), [X, CHANNELS, CHANNELS], 1),
    (ArgMax(axis=2), [X], 1),
    (ArgMax(axis=0), [X.astype(np.int8)], 1),
    (TopK(axis=1), [X.astype(np.float64), np.array([3])], 2),
]


def context(record: Anchor, given: list[Array], outputs: int, target: Target | None = None) -> RunContext:
    constant = (1,) if len(given) > 1 and given[1].dtype == np.int64 else ()
    symbolic = [(0, axis) for axis in range(2)] if len(given) < 3 else []
    return RunContext(record, given, outputs=outputs, constant=constant, symbolic=symbolic, target=target)


@pytest.mark.parametrize(("record", "given", "outputs"), CASES, ids=lambda v: str(v)[:20])
def test_narrower_targets_agree(record: Anchor, given: list[Array], outputs: int) -> None:
    want = context(record, given, outputs).results
    for target in (BASELINE, AVX2):
        if target is AVX2 and not host_target().has("avx2"):
            continue
        narrow = replace(target, triple=host_target().triple)
        for index, got in context(record, given, outputs, narrow).results.items():
            np.testing.assert_allclose(got, want[index], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", [AVX512, NEON, WASM], ids=lambda t: t.name)
def test_every_target_gets_valid_code(target: Target) -> None:
    for record, given, outputs in CASES:
        for kernel, *_ in context(record, given, outputs).kernels:
            assert compile_text(kernel_text(kernel, target), target)


def test_tasks() -> None:
    rows, columns = symbol("s0"), symbol("s1")
    assert Nest((rows, columns), (1,), 1).tasks() == rows
    assert Nest((rows, 300), (0,), 1).tasks() == -(-300 // COLUMNS)
    assert Nest((100, 7), (0, 1), 1, chunk=16, chunked=0).tasks() == 7
    assert Nest((5,), (0,), 0).tasks() == 1
