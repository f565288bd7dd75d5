"""The memory plan: buffers that live at the same time never overlap, and reuse happens."""

from __future__ import annotations

import itertools

import numpy as np

from sardonyx import dtypes
from sardonyx.compiler.memory import ALIGNMENT, plan_memory
from sardonyx.compiler.workspace import Buffer, Call
from sardonyx.kernels.map import Map
from sardonyx.kernels.point import PointProgram
from sardonyx.kernels.spec import Operand
from sardonyx.symbols import Dim, evaluate, symbol

KERNEL = Map((1,), PointProgram((), ()), ())


def call(*buffers: int) -> Call:
    return Call(KERNEL, tuple(Operand(b, dtypes.uint8, (1,), (1,)) for b in buffers), (), 1, 0, "")


def random_region(sizes: list[Dim], seed: int) -> tuple[list[Buffer], list[Call]]:
    """Calls in which every buffer is used at least twice, over lives of random length."""
    rng = np.random.default_rng(seed)
    uses: list[list[int]] = [[] for _ in range(40)]
    for buffer in range(len(sizes)):
        first = int(rng.integers(0, 38))
        for number in (first, first + int(rng.integers(0, min(8, 40 - first)))):
            uses[number].append(buffer)
    return [Buffer("temporary", 0, size) for size in sizes], [call(*used) for used in uses]


def lives(calls: list[Call], buffer: int) -> tuple[int, int]:
    used = [n for n, one in enumerate(calls) for operand in one.operands if operand.buffer == buffer]
    return min(used), max(used)


def check(buffers: list[Buffer], calls: list[Call], sizes: dict[str, int]) -> tuple[int, int]:
    """Asserts that no two live buffers overlap; gives the arena's size and the sum of all buffers'."""
    plan = plan_memory(buffers, calls)
    starts, total = [], plan.fixed_size
    for members in plan.slots:
        starts.append(total)
        total += -(-max(evaluate(m, sizes) for m in members) // ALIGNMENT) * ALIGNMENT
    places = {}
    for k, buffer in enumerate(buffers):
        start = plan.fixed[k] if k in plan.fixed else starts[plan.slot_of[k]]
        size = evaluate(buffer.size, sizes)
        assert start % ALIGNMENT == 0
        assert start + size <= total
        places[k] = (start, start + size, *lives(calls, k))
    for (a, b, first, last), (c, d, other_first, other_last) in itertools.combinations(places.values(), 2):
        alive_together = first <= other_last and other_first <= last
        assert not (alive_together and a < d and c < b)
    return total, sum(evaluate(buffer.size, sizes) for buffer in buffers)


def test_known_sizes() -> None:
    for seed in range(10):
        sizes: list[Dim] = [int(s) for s in np.random.default_rng(seed).integers(0, 5000, 30)]
        arena, separate = check(*random_region(sizes, seed), {})
        assert arena < separate


def test_symbolic_and_mixed_sizes() -> None:
    n, m = symbol("n"), symbol("m")
    for seed in range(10):
        sizes: list[Dim] = [4 * n, 4 * n * m, 100, m * 8, 4 * n + 17, 3000] * 5
        buffers, calls = random_region(sizes, seed)
        for values in ({"n": 1, "m": 1}, {"n": 0, "m": 7}, {"n": 900, "m": 3}, {"n": 3, "m": 900}):
            arena, separate = check(buffers, calls, values)
            if min(values.values()) > 1:
                assert arena < separate
