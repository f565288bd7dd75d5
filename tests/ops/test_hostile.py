"""Indices, lengths and divisors that no sound model has: our error or a sound result, never a stray access.

Every case runs in a guarded process, in code that checks its accesses to memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import onnx
import pytest

import sardonyx
from conformance.pool import Outcome, run_guarded
from ops.cases import Array, Case, floats, i64
from ops.contrib.oracle import MICROSOFT
from sardonyx.lang.host import host_target

f32 = np.float32
FAR = (4, -5, 100, 2**31 - 1, 2**31, 2**32, 2**60, 2**61, 2**62, 2**63 - 1, -(2**31), -(2**32), -(2**60), -(2**63))
FAR32 = (4, -5, 100, 2**28, 2**30, 2**31 - 1, -(2**30), -(2**31))
X = floats(4, 5, 6)
REFUSED: list[Case] = []
"""Must raise an error."""
SOUND: list[Case] = []
"""May have any result."""


FIXED = (
    "TopK x1",
    "Trilu x1",
    "Resize x2",
    "NonMaxSuppression x2",
    "GatherND x1",
    "ScatterND x1",
    "RotaryEmbedding x0",
    *(f"GroupQueryAttention x{k}" for k in range(5)),
)
"""Inputs of which the sizes must be known to compile."""


def i32(*values: int) -> Array:
    return np.array(values, np.int32)


def region(image: float) -> Array:
    """One region of interest of an image: its number and two corners."""
    return np.array([[image, 0, 0, 3, 3]], f32)


def embedding(inputs: Sequence[Array | None], positions: Array | None = None) -> Case:
    """EmbedLayerNormalization of token and segment numbers and of the tables of words, positions and segments."""
    scale = floats(6)
    given = [*inputs, scale, scale, None, positions]
    return Case("EmbedLayerNormalization", given, outputs=2, domain=MICROSOFT)


for n in FAR:
    REFUSED += [
        Case("Gather", [X, i64(0, n)]),
        Case("Gather", [floats(100, 4), i64(0, n * 25 if abs(n) < 2**50 else n)]),
        Case("GatherElements", [X[0, 0, :4], i64(n, 1)]),
        Case("GatherND", [X, i64([0, 1], [n, 0])]),
        Case("ScatterElements", [X[0, 0, :4], i64(n), floats(1)]),
        Case("ScatterElements", [X[0, 0, :4], i64(n), floats(1)], {"reduction": "add"}),
        Case("ScatterND", [X, i64([n]), floats(1, 5, 6)]),
        Case("ScatterND", [X, i64([0, 0], [n, 1]), floats(2, 6)], {"reduction": "max"}),
        Case("ReverseSequence", [X, i64(1, 1, n if abs(n) > 5 else 9, 1, 1)]),
        Case("TensorScatter", [X, floats(4, 2, 6), i64(0, 0, n, 0)], {"axis": 1}, opset=24),
        Case("RoiAlign", [floats(4, 2, 8, 8), floats(1, 4), i64(n)], {"output_height": 2, "output_width": 2}),
        Case(
            "MaxUnpool",
            [floats(1, 1, 2, 2), i64([[[0, 1], [2, n * 4 if abs(n) < 2**50 else n]]])],
            {
                "kernel_shape": [2, 2],
                "strides": [2, 2],
            },
        ),
        Case("TopK", [X, i64(n if abs(n) > 6 else 7)], outputs=2),
        Case("ArrayFeatureExtractor", [X[0, :, :4], i64([0, n])], domain="ai.onnx.ml"),
        Case("ArrayFeatureExtractor", [X[0, :, :4], i64([n])], domain="ai.onnx.ml"),
        Case("MaxRoiPool", [X[:, :, :, None], region(float(n))], {"pooled_shape": [2, 2]}),
    ]
    SOUND += [
        Case("Attention", [floats(2, 1, 3, 8), *[floats(2, 1, 4, 8)] * 2, None, None, None, i64(n, 1)], opset=24),
        Case("OneHot", [i64(n, 0), i64(4), floats(2)], constant=[1]),
        Case("Compress", [X, np.ones(n if 0 < n < 200 else 7, bool)], {"axis": 0}),
        Case("Div", [i64(n, -(2**63)), i64(0, -1)]),
        Case("Mod", [i64(n, -(2**63)), i64(0, -1)]),
        Case("Mod", [i64(n, -(2**63)), i64(0, -1)], {"fmod": 1}),
        Case("Trilu", [X, np.array(n)]),
        Case("BitShift", [np.array([n % 2**64], np.uint64), np.array([n % 2**64], np.uint64)], {"direction": "LEFT"}),
        Case("GridSample", [floats(1, 1, 4, 4), np.full((1, 2, 2, 2), float(n), f32)]),
        Case("Resize", [floats(4), None, np.array([abs(float(n)) * 1e-9], f32)]),
    ]
for n in FAR32:
    REFUSED += [Case("Gather", [X, i32(0, n)]), Case("ScatterElements", [X[0, 0, :4], i32(n), floats(1)])]
    tables = floats(4, 6), floats(4, 6), floats(4, 6)
    REFUSED += [
        Case("Gather", [floats(4, 6), i32([0, 1], [n, 3])], {"axis": 0}),
        embedding([i32([0, n]), None, *tables[:2], None]),
        embedding([i32([0, 1]), i32([n, 0]), *tables]),
        embedding([i32([0, 1]), None, *tables[:2], None], i32([n, 0])),
        Case(
            "RotaryEmbedding",
            [floats(1, 2, 8), i64([n, 0]), floats(4, 4), floats(4, 4)],
            {"num_heads": 1},
            constant=[2, 3],
            domain=MICROSOFT,
        ),
        Case(
            "CropAndResize",
            [floats(4, 2, 6, 6), np.array([[0, 0, 1, 1]], f32), i32(n), i32(3, 3)],
            constant=[3],
            domain=MICROSOFT,
        ),
    ]
    weights = floats(1, 5, 3), floats(1, 5, 5)
    SOUND += [
        Case(
            "GroupQueryAttention",
            [*[floats(1, 1, 8)] * 3, *[floats(1, 1, 4, 8)] * 2, i32(n), np.array(5, np.int32)],
            {"num_heads": 1, "kv_num_heads": 1},
            outputs=3,
            domain=MICROSOFT,
        ),
    ]
    SOUND += [Case("RNN", [floats(4, 2, 3), *weights, None, i32(n, 1)], {"hidden_size": 5}, outputs=2)]
    SOUND += [Case("Div", [i32(n, -(2**31)), i32(0, -1)]), Case("Mod", [i32(n, -(2**31)), i32(0, -1)])]
for number in (np.nan, np.inf, -np.inf, 1e30):
    (SOUND if np.isnan(number) else REFUSED).append(
        Case("MaxRoiPool", [X[:, :, :, None], region(number)], {"pooled_shape": [2, 2]})
    )
    SOUND += [
        Case("GridSample", [floats(1, 1, 4, 4), np.full((1, 2, 2, 2), number, f32)], {"mode": mode})
        for mode in ("linear", "nearest", "cubic")
    ]
    SOUND += [
        Case("MaxRoiPool", [X[:, :, :, None], np.array([[0, *[number] * 4]], f32)], {"pooled_shape": [2, 2]}),
        Case("RoiAlign", [floats(1, 2, 8, 8), np.full((1, 4), number, f32), i64(0)]),
        Case("NonMaxSuppression", [np.full((1, 3, 4), number, f32), np.full((1, 1, 3), number, f32), i64(2)]),
        Case("OneHot", [np.array([number, 0], f32), i64(4), floats(2)], constant=[1]),
        Case("Cast", [np.array([number], f32)], {"to": onnx.TensorProto.INT32}),
    ]


def model(case: Case) -> onnx.ModelProto:
    """The node with open sizes, except for those of the inputs that give sizes."""
    made = case.model()
    for value in made.graph.input:
        if f"{case.op} {value.name}" in FIXED:
            array, kind = case.feeds()[value.name], value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, array.shape))
    return made


def run(cases: Sequence[Case]) -> str:
    """Runs cases of one node that differ in what is fed; says which were refused."""
    os.environ["SARDONYX_CHECK"] = "1"
    host_target.cache_clear()  # the process this one was forked from may have asked before
    options = sardonyx.SessionOptions(strict=True, memory_limit=1 << 28, intra_op_num_threads=1, use_cache=False)
    session = sardonyx.InferenceSession(model(cases[0]), options)
    refused = ""
    for case in cases:
        try:
            session.run(None, case.feeds())
        except sardonyx.SardonyxError as error:
            if "about to leave" in str(error):
                raise
            refused += "r"
        else:
            refused += "."
    return refused


def families(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases of equal nodes and shapes."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        shapes = [
            (array.shape if case.op != "Compress" else 0, array.dtype) for array in case.inputs if array is not None
        ]
        found.setdefault(repr((case.op, case.attributes, shapes)), []).append(case)
    return list(found.values())


@pytest.fixture(scope="module")
def outcomes() -> dict[int, Outcome]:
    work = [*families(REFUSED), *families(SOUND)]
    return dict(run_guarded(lambda k: run(work[k]), len(work), jobs=1, timeout=120, memory=16 << 30))


def test_wrong_indices_are_refused(outcomes: dict[int, Outcome]) -> None:
    for number, cases in enumerate(families(REFUSED)):
        outcome = outcomes[number]
        assert not outcome.error, (cases[0].op, outcome.error)
        assert outcome.value == "r" * len(cases), cases[0].op


def test_the_rest_is_sound(outcomes: dict[int, Outcome]) -> None:
    first = len(families(REFUSED))
    for number, cases in enumerate(families(SOUND)):
        assert not outcomes[first + number].error, (cases[0].op, outcomes[first + number].error)
