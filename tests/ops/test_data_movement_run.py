"""Shape and data-movement operators, compiled and run, against onnx's reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

import sardonyx
from ops.cases import Case, combined, floats, i64, integers
from ops.data_movement_cases import CASES

FAMILIES = sorted({(case.op, case.opset) for case in CASES})


@pytest.mark.parametrize("symbolic", [True, False], ids=["symbolic", "constant"])
@pytest.mark.parametrize(("op", "opset"), FAMILIES, ids=[op for op, _ in FAMILIES])
def test_results_are_the_reference_s(op: str, opset: int, symbolic: bool):
    cases = [case for case in CASES if (case.op, case.opset) == (op, opset)]
    if op == "Resize":
        cases = cases[::5]  # all of them run in test_data_movement, without the compiler
    model, feeds = combined(cases, symbolic=symbolic)
    session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
    results = iter(session.run(None, feeds))
    for case in cases:
        for real in case.expected():
            compare(case, next(results), real)


def compare(case: Case, result, real):
    assert result.dtype == real.dtype, case
    assert result.shape == real.shape, case
    # The reference rounds cubic weights to float32; a resized integer may lie at the border of two.
    loose = 1e-5 if case.attributes.get("mode") == "cubic" else 2e-6
    tolerance = loose if real.dtype.kind == "f" else float(case.op == "Resize")
    np.testing.assert_allclose(result.astype(float), real.astype(float), rtol=loose, atol=tolerance, err_msg=str(case))


def run(case: Case):
    return sardonyx.InferenceSession(case.model()).run(None, case.feeds())


@pytest.mark.filterwarnings("ignore:these operators have no native code:RuntimeWarning")
@pytest.mark.parametrize(
    "case",
    [
        Case("Gather", [floats(4), i64(0, 4)]),
        Case("Gather", [floats(4), i64(-5, 0)]),
        Case("GatherElements", [floats(4), i64(-5, 0)]),
        Case("GatherND", [floats(4), i64([4])], constant=[]),
        Case("ScatterElements", [floats(4), i64(0, 9), floats(2)]),
        Case("ReverseSequence", [floats(4, 2), i64(5, 1)]),
        Case("Reshape", [floats(4, 3), i64(5, 2)], constant=[1]),
        Case("Concat", [floats(4, 3), floats(4, 2)], {"axis": 0}),
        Case("Add", [floats(5), floats(3)]),
        Case("Where", [np.array([True] * 4), floats(5), floats(5)]),
        Case("TensorScatter", [floats(2, 6, 3), floats(2, 2, 3), i64(1)], {"axis": 1}, opset=24),
        Case("TensorScatter", [floats(2, 6, 3), floats(2, 2, 3), i64(1, 9)], {"axis": 1}, opset=24),
        Case("TensorScatter", [floats(2, 6, 3), floats(2, 2, 3), i64(1, 5)], {"axis": 1}, opset=24),
        Case("TensorScatter", [floats(2, 6, 3), floats(2, 2, 3), i64(1, -1)], {"axis": 1}, opset=24),
        Case(
            "TensorScatter", [floats(2, 6, 3), floats(2, 2, 3), i64(1, -1)], {"axis": 1, "mode": "circular"}, opset=24
        ),
        Case("TensorScatter", [floats(2, 2, 3), floats(2, 3, 3), i64(0, 0)], {"axis": 1}, opset=24),
        Case("ReverseSequence", [floats(4, 2), i64(-1, 1)]),
    ],
    ids=str,
)
def test_wrong_data_is_refused(case: Case):
    with pytest.raises(sardonyx.SardonyxError):
        run(case)


@pytest.mark.filterwarnings("ignore:these operators have no native code:RuntimeWarning")
def test_data_dependent_sizes_run():
    for case in (
        Case("NonZero", [integers(3, 4, low=0, high=2)]),
        Case("Compress", [floats(3, 4), np.array([True, False, True])], {"axis": 0}),
        Case("Unique", [integers(9, low=0, high=4)], outputs=4),
        Case("Slice", [floats(9), i64(2), i64(7)]),
        Case("Reshape", [floats(6), i64(2, 3)]),
        Case("Range", [np.array(2), np.array(9), np.array(3)]),
    ):
        for result, real in zip(run(case), case.expected(), strict=True):
            np.testing.assert_array_equal(result, real)
