"""Einsum against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

import sardonyx
from ops.run_record import run_record
from sardonyx import dtypes
from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.einsum import Einsum
from sardonyx.symbols import symbol

SIZES = {"a": 3, "b": 2, "c": 5, "d": 4, "h": 2, "i": 7, "j": 9, "k": 6, "n": 2, "q": 8, "s": 11}

EQUATIONS = [
    "ij,jk->ik", "ij,kj->ki", "ij,jk", "bij,bjk->bik", "bqhd,bshd->bhqs", "bhqs,bshd->bqhd", "abc,cd->abd", "i,j->ij",
    "ij,ij->i", "ij,ij->", "bid,hdk->bhik", "abcd,dc->ab", "a...j,...jk->...ak", "ib,jb->bij", "...ij,jk->...ik",
]  # fmt: skip


def operands(equation: str, hidden: tuple[int, ...] = (2, 3)) -> list[Any]:
    random = np.random.default_rng(len(equation))
    terms = equation.partition("->")[0].split(",")
    shapes = []
    for term in terms:
        before, dots, after = term.partition("...")
        shapes.append([*(SIZES[x] for x in before), *(hidden if dots else ()), *(SIZES[x] for x in after)])
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("symbolic", [False, True])
def test_two_operands(equation: str, symbolic: bool) -> None:
    a, b = operands(equation)
    names = [(0, axis) for axis in range(a.ndim)] + [(1, axis) for axis in range(b.ndim)]
    if symbolic:
        # Only sizes of one operand: two symbols cannot be seen to be equal.
        first, second = equation.partition("->")[0].split(",")
        names = [(0, axis) for axis, x in enumerate(first) if "." not in first + second and x not in second]
    got = run_record(Einsum(equation), [a, b], symbolic=names if symbolic else [])
    want = np.einsum(equation, a.astype(np.float64), b.astype(np.float64))
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def shapes(equation: str, *inputs: tuple[Any, ...]) -> Any:
    infos = tuple(TensorInfo(dtypes.float32, shape) for shape in inputs)
    return Einsum(equation).infer(InferContext("node", "Einsum", infos, 1, symbol))[0].shape


def test_shapes() -> None:
    n = symbol("n")
    assert shapes("ij,jk", (n, 3), (3, 4)) == (n, 4)
    assert shapes("ba", (2, n)) == (n, 2)
    assert shapes("ii->i", (3, 3)) == (3,)
    assert shapes("...ii->...", (n, 3, 3)) == (n,)
    assert shapes("ij,jk,kl->il", (2, 3), (3, 4), (4, n)) == (2, n)
    assert shapes("...i,...i->...", (5, 1, 2), (n, 2)) == (5, n)


@pytest.mark.parametrize(
    ("equation", "inputs"),
    [
        ("ij,jk->ik", [(2, 3)]),
        ("ij->k", [(2, 3)]),
        ("i->i", [(2, 3)]),
        ("i1->i", [(2, 3)]),
        ("ij,jk->ik", [(2, 3), (4, 5)]),
    ],
)
def test_malformed(equation: str, inputs: list[tuple[int, ...]]) -> None:
    with pytest.raises(InvalidModelError, match="node 'node' \\(Einsum\\)"):
        shapes(equation, *inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij->ji", [(3, 4)]),
        ("ij->i", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("...ii->...i", [(3, 5, 5)]),
        ("iij->j", [(4, 4, 3)]),
        ("ii", [(4, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("abc,cd,def->abef", [(2, 3, 4), (4, 5), (5, 2, 3)]),
        ("i,i,i->", [(7,), (7,), (7,)]),
        ("ij,j->", [(3, 4), (4,)]),
        ("bij,bjk->bik", [(1, 3, 4), (5, 4, 2)]),
        ("ij,kj->ik", [(3, 4), (2, 4)]),
        ("i,j->ij", [(3,), (4,)]),
    ],
)
def test_any_equation_natively(equation: str, shapes: list[tuple[int, ...]], dtype: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-4, 5, shape).astype(dtype) for shape in shapes]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Einsum", [f"x{k}" for k in range(len(shapes))], ["y"], equation=equation)],
        "test",
        [helper.make_tensor_value_info(f"x{k}", kind, list(shape)) for k, shape in enumerate(shapes)],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = sardonyx.InferenceSession(model.SerializeToString())
    assert not session.program.python_steps
    (got,) = session.run(None, {f"x{k}": array for k, array in enumerate(arrays)})
    np.testing.assert_allclose(got, np.einsum(equation, *arrays), rtol=1e-5)
