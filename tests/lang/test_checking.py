"""Code of a checked target leaves a kernel rather than its buffers; other code has no trace of that."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.kernels.spec import kernel_text
from sardonyx.lang import I64, KernelBuilder
from sardonyx.lang.checking import STATUS_BOUNDS
from sardonyx.lang.host import host_target

CHECKED = replace(host_target(), checked=True)


@dataclass(frozen=True)
class Copy:
    """Buffer 1 at size 0 becomes buffer 0 at size 1: ``lanes`` elements, of which size 2 are not masked."""

    how: str
    lanes: int

    @property
    def name(self) -> str:
        return "copy"

    def emit(self, b: KernelBuilder) -> None:
        source, target = b.buffer(0, dtypes.float32), b.buffer(1, dtypes.float32)
        read, written = b.size(1), b.size(0)
        mask = b.tail_mask(b.size(2), self.lanes) if "masked" in self.how else None
        if "apart" in self.how:
            places = b.iota(I64.with_lanes(self.lanes)) * 2
            target.scatter(source.gather(places + read, mask), places + written, mask)
        else:
            target.store(source.load(read, self.lanes, mask), written, mask)


@pytest.mark.parametrize("how", ["together", "masked together", "apart", "masked apart"])
def test_accesses_at_the_edges(how: str) -> None:
    lanes, count = 4, 3 if "masked" in how else 4
    span = (count - 1) * 2 + 1 if "apart" in how else count
    last = 20 - span
    kernel = Copy(how, lanes)
    for place, inside in ((0, True), (last, True), (last + 1, False), (-1, False), (2**61, False), (-(2**61), False)):
        for written, read in ((place, 0), (0, place)):
            memory = np.zeros((4, 20), np.float32)
            memory[1] = np.arange(20)
            status = run_kernel(kernel, [memory[1], memory[2]], [written, read, count], 1, target=CHECKED)
            assert status == (0 if inside else STATUS_BOUNDS), (how, written, read)
            assert not memory[[0, 3]].any()


def test_one_element() -> None:
    source, target = np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    for place, inside in ((2, True), (3, False), (-1, False)):
        status = run_kernel(Copy("together", 1), [source, target], [0, place, 1], 1, target=CHECKED)
        assert status == (0 if inside else STATUS_BOUNDS)


@dataclass(frozen=True)
class OwnMemory:
    """Element ``size 0`` of an array on the stack, or of a constant table, becomes buffer 0."""

    constant: bool

    @property
    def name(self) -> str:
        return "own_memory"

    def emit(self, b: KernelBuilder) -> None:
        if self.constant:
            own = b.table(dtypes.int64, range(5))
        else:
            own = b.local(dtypes.int64, 5)
            for place in range(5):
                own.store(b.i64(place), place)
        b.buffer(0, dtypes.int64).store(own.load(b.size(0)))


@pytest.mark.parametrize("constant", [False, True])
def test_arrays_on_the_stack_and_tables(constant: bool) -> None:
    for place, inside in ((0, True), (4, True), (5, False), (-1, False)):
        got = np.full(1, 7)
        status = run_kernel(OwnMemory(constant), [got], [place], 1, target=CHECKED)
        assert (status, got[0]) == ((0, place) if inside else (STATUS_BOUNDS, 7))


def test_other_code_is_as_it_was() -> None:
    text = kernel_text(Copy("together", 4), replace(CHECKED, checked=False))
    assert "ptrtoint" not in text
    assert f"ret i64 {STATUS_BOUNDS}" not in text
    assert f"ret i64 {STATUS_BOUNDS}" in kernel_text(Copy("together", 4), CHECKED)
