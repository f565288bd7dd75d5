"""Contrib operators on bfloat16, which ONNX Runtime's processor kernels lack: held against those on float32."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ops.contrib.oracle import Array, compiled, feeds_of, node_model, numbers
from ops.contrib.test_grouped_attention import HEADS, SHARED, case

GROUPED = {"num_heads": HEADS, "kv_num_heads": SHARED, "do_rotary": 1, "softcap": 3.0, "smooth_softmax": 1}
CASES: list[tuple[str, list[Array | None], dict[str, Any], int, list[int]]] = [
    ("MultiHeadAttention", [numbers(2, 5, 16)] * 3, {"num_heads": 2}, 1, []),
    ("SkipSimplifiedLayerNormalization", [numbers(2, 5, 16)] * 2 + [numbers(16)], {}, 1, []),
    ("BiasGelu", [numbers(2, 16), numbers(16)], {}, 1, []),
    ("GroupQueryAttention", case([9, 12], 1, 15, rotary=True), GROUPED, 3, [7, 8]),
    ("FusedMatMul", [numbers(2, 5, 12), numbers(12, 24)], {"alpha": 0.5}, 1, []),
]


@pytest.mark.parametrize(("name", "inputs", "attributes", "outputs", "constant"), CASES, ids=lambda one: str(one)[:20])
def test_bfloat16(
    name: str, inputs: list[Array | None], attributes: dict[str, Any], outputs: int, constant: list[int]
) -> None:
    results: list[list[Array]] = []
    for dtype in (np.float32, ml_dtypes.bfloat16):
        given = [
            x.astype(ml_dtypes.bfloat16).astype(dtype) if x is not None and x.dtype == np.float32 else x for x in inputs
        ]
        options: dict[str, Any] = {"outputs": (True,) * outputs, "constant": constant, "fixed_last": True}
        program = compiled(node_model(name, given, attributes, **options))
        feeds = feeds_of(given, constant)
        results.append(program.run([feeds[value.name] for value in program.inputs]))
    for wide, narrow in zip(*results, strict=True):
        assert narrow.dtype == ml_dtypes.bfloat16
        np.testing.assert_allclose(narrow.astype(np.float32), wide, rtol=2**-7, atol=2**-7 * np.abs(wide).max())
