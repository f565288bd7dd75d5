"""Loops, branches and checks."""

from __future__ import annotations

import numpy as np
import pytest

from lang.harness import run
from sardonyx import dtypes
from sardonyx.lang import I64, KernelBuilder, Pointer, Value


@pytest.mark.parametrize(("start", "stop", "step"), [(0, 5, 1), (2, 9, 3), (0, 0, 1), (5, 2, 1), (-3, 3, 2)])
@pytest.mark.parametrize("unroll", [False, True])
def test_loop(start: int, stop: int, step: int, unroll: bool) -> None:
    seen = np.zeros(2, np.int64)

    def build(b: KernelBuilder, out: Pointer) -> None:
        with b.loop(b.size(1), b.size(0), b.size(2), unroll=unroll) as i:
            out.store(out.load() + i)
            out.store(out.load(1) + 1, 1)

    assert run(build, seen, sizes=[start, stop, step]) == 0
    np.testing.assert_array_equal(seen, [sum(range(start, stop, step)), len(range(start, stop, step))])


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("lanes", [1, 4, 8])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 8, 9, 31, 32])
def test_vector_loop(count: int, lanes: int, constant: bool) -> None:
    """Every element once, none beyond the end."""
    hits = np.zeros(40, np.int32)

    def build(b: KernelBuilder, out: Pointer) -> None:
        def body(i: Value, mask: Value | None) -> None:
            out.store(out.load(i, lanes, mask) + 1, i, mask)

        b.vector_loop(count if constant else b.size(0), lanes, body)

    assert run(build, hits, sizes=[count]) == 0
    np.testing.assert_array_equal(hits, np.arange(40) < count)


@pytest.mark.parametrize("value", [-3, 0, 4])
def test_branches(value: int) -> None:
    out = np.zeros(2, np.int64)

    def build(b: KernelBuilder, result: Pointer) -> None:
        x = b.size(0)
        with b.if_else(x < 0) as (then, otherwise):
            with then:
                result.store(-x)
            with otherwise:
                result.store(x * 10)
        with b.if_(x == 0, likely=False):
            result.store(b.i64(1), 1)

    assert run(build, out, sizes=[value]) == 0
    np.testing.assert_array_equal(out, [-value if value < 0 else value * 10, value == 0])


def test_while() -> None:
    """Euclid's algorithm."""
    out = np.zeros(1, np.int64)

    def build(b: KernelBuilder, result: Pointer) -> None:
        x, y = b.var(b.size(0)), b.var(b.size(1))
        with b.while_(lambda: y.get() != 0):
            rest = x.get() % y.get()
            x.set(y.get())
            y.set(rest)
        result.store(x.get())

    assert run(build, out, sizes=[1071, 462]) == 0
    assert out[0] == 21


@pytest.mark.parametrize(("value", "status"), [(1, 0), (-1, 7)])
def test_checks(value: int, status: int) -> None:
    out = np.zeros(1, np.int64)

    def build(b: KernelBuilder, result: Pointer) -> None:
        b.return_if(b.size(0) < 0, 7)
        result.store(b.const(1, I64))

    assert run(build, out, sizes=[value]) == status
    assert out[0] == (status == 0)


def test_tasks() -> None:
    """A kernel does the tasks it is asked for."""
    hits = np.zeros(3, np.float64)

    def build(b: KernelBuilder, out: Pointer) -> None:
        with b.tasks() as task:
            out.store(task.to(dtypes.float64) + 1.0, task)

    assert run(build, hits) == 0  # tasks 0 to 1
    np.testing.assert_array_equal(hits, [1, 0, 0])
