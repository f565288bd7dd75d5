"""Golden files: what a few kernels look like as LLVM IR, so that a change of the generator shows in review.

`pytest tests/kernels/test_golden.py --update-golden` writes them anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sardonyx import dtypes
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import Apply, CheckedIndex, Constant, Load, PointProgram
from sardonyx.kernels.spec import Kernel, kernel_text, symbol_name
from sardonyx.kernels.transpose import Transpose
from sardonyx.lang import Value
from sardonyx.symbols import symbol
from sardonyx.targets import AVX2, AVX512, Target

FOLDER = Path(__file__).parent / "golden"
F32 = dtypes.float32
i0, i1, s0, s1 = (symbol(name) for name in ("i0", "i1", "s0", "s1"))


@dataclass(frozen=True)
class Add:
    """x + y"""

    def compute(self, *values: Value) -> Value:
        return values[0] + values[1]


@dataclass(frozen=True)
class Maximum:
    """max(x, y)"""

    def compute(self, *values: Value) -> Value:
        return values[0].b.maximum(values[0], values[1])


def bias_relu() -> Map:
    """max(x[i, j] + bias[j], 0) over symbolic rows of 100 columns: full vectors, a masked tail, a broadcast operand."""
    program = PointProgram(
        (
            Load(0, F32, i0 * 100 + i1),
            Load(1, F32, i1),
            Apply(Add(), (0, 1), F32),
            Constant(0.0, F32),
            Apply(Maximum(), (2, 3), F32),
        ),
        (4,),
        2,
        1,
    )
    return Map((s0, 100), program, (Store(2, F32, i0 * 100 + i1),))


def gather_rows() -> Map:
    """table[index[i], j]: an index that is checked before it is used."""
    v1 = symbol("v1")
    program = PointProgram(
        (Load(0, dtypes.int64, i0), CheckedIndex(0, s1), Load(1, F32, v1 * 64 + i1)),
        (2,),
        2,
        2,
    )
    return Map((s0, 64), program, (Store(2, F32, i0 * 64 + i1),))


CASES: dict[str, tuple[Kernel, Target]] = {
    "bias_relu_avx512": (bias_relu(), AVX512),
    "bias_relu_avx2": (bias_relu(), AVX2),
    "gather_rows_avx512": (gather_rows(), AVX512),
    "transpose_avx512": (Transpose((32, 48), (1, 32), (48, 1), 4), AVX512),
}


@pytest.mark.parametrize("name", CASES)
def test_the_code_is_as_it_was(name: str, request: pytest.FixtureRequest) -> None:
    kernel, target = CASES[name]
    text = kernel_text(kernel, target).replace(symbol_name(kernel, target), "kernel")
    file = FOLDER / f"{name}.ll"
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs: look at the change, then run with --update-golden"
