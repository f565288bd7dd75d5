"""How a convolution is cut: register tile, units of output pixels, tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import TileShape
from sardonyx.symbols import Dim, ceildiv, product
from sardonyx.targets import Target

__all__ = ["CACHE_LINE", "Cut", "Loop", "Tap", "plan_cut", "plan_tasks", "plan_tile"]

CACHE_LINE = 64
TASKS = 32
"""Tasks a large layer is cut into: enough that a few more or less on one thread do not matter."""
TASK_WORK = 400_000
"""Multiply-adds of the smallest task worth its own start."""
BLOCK_PIXELS = 256
"""Pixels of a task whose sums are kept on the stack."""
PIXELS = 112
"""Pixels of one unit where the number of pixels is not known."""


@dataclass(frozen=True)
class Loop:
    """One loop over output positions: how many, and how far one step moves in the input and in the output.

    The position that the epilogue sees is ``start + scale * i`` (phases of a transposed convolution).
    """

    size: Dim
    a: Dim
    out: Dim
    start: int = 0
    scale: int = 1


@dataclass(frozen=True)
class Tap:
    """One reduction loop outside of the merged depth: its count and its step in the input."""

    count: int
    a: Dim


@dataclass(frozen=True)
class Cut:
    """How a convolution is cut.

    A unit is ``unit_rows`` steps of the loop before the last (which then must have a constant size) times up to
    ``unit_pixels`` steps of the last; a task does some units with some panels. ``blocked``: the first tap is the loop
    around the units of a task.
    """

    tile: TileShape
    unit_rows: int
    unit_pixels: int
    units_per_task: int
    panels_per_task: int
    blocked: bool


def plan_cut(
    target: Target, dtype: DType, groups: int, results: int, loops: tuple[Loop, ...], taps: tuple[Tap, ...], depth: int
) -> Cut:
    """The cut of a convolution with ``results`` channels per group.

    Layers with more weights than pixels are split by panels, so that each weight is read by one thread; the others by
    pixels, all panels in each task, so that each pixel is.
    """
    tile = _tile(target, dtype, results, loops)
    unit_rows, unit_pixels = _unit(tile, loops)
    panels = groups * -(-results // tile.columns)
    steps = depth * math.prod(tap.count for tap in taps)
    extents = [loop.size for loop in loops]
    if unit_rows > 1:
        extents[-2] = ceildiv(extents[-2], unit_rows)
    extents[-1] = ceildiv(extents[-1], unit_pixels)
    units, unit_work = product(extents), unit_rows * unit_pixels * steps * results * groups
    small = steps * results * dtype.itemsize <= target.caches.l2 // 2
    if not isinstance(units, int):
        # each panel of many weights should meet some tiles, however few images there are
        panels_per_task = panels if small else -(-panels // 8)
        units_per_task = int(2 * TASK_WORK * panels / max(1, unit_work * panels_per_task))
        units_per_task = units_per_task if small else max(units_per_task, BLOCK_PIXELS // (unit_rows * unit_pixels))
    else:
        more_weights = steps * results > units * unit_rows * unit_pixels * depth
        units_per_task, panels_per_task = plan_tasks(units, panels, units * unit_work, more_weights)
    blocked = bool(taps) and steps * tile.columns * dtype.itemsize > target.caches.l2 // 4
    most = max(1, BLOCK_PIXELS // (unit_rows * unit_pixels)) if blocked else units_per_task
    return Cut(tile, unit_rows, unit_pixels, max(1, min(units_per_task, most)), panels_per_task, blocked)


def plan_tasks(units: int, panels: int, work: int, more_weights: bool) -> tuple[int, int]:
    """Units and panels of one task."""
    tasks = max(1, min(TASKS, work // TASK_WORK))
    if more_weights:
        panels_per_task = _even(panels, tasks)
        blocks = -(-panels // panels_per_task)
        return _even(units, max(1, tasks // blocks), blocks), panels_per_task
    units_per_task = _even(units, tasks)
    blocks = -(-units // units_per_task)
    return units_per_task, _even(panels, max(1, tasks // blocks), blocks)


def _even(items: int, tasks: int, others: int = 1) -> int:
    """Items of one task, for about so many tasks, such that two or four threads get nearly equal parts.

    ``others`` is the number of parts that the other dimension is cut into.
    """
    if items <= 1 or tasks <= 1:
        return max(1, items)
    wanted = -(-items // tasks)

    def idle(each: int) -> float:
        blocks = -(-items // each) * others
        return sum(-(-blocks // threads) * threads * each for threads in (2, 4)) / (items * others)

    choices = range(max(1, wanted // 2), wanted + wanted // 2 + 1, max(1, wanted // 64))
    return min(choices, key=lambda each: (idle(each), abs(each - wanted)))


def plan_tile(target: Target, dtype: DType, results: int, pixels: int) -> TileShape:
    """The register tile for a product of so many pixels, one after the other, and results."""
    return _tile(target, dtype, results, (Loop(pixels, 0, 0),))


def _tile(target: Target, dtype: DType, results: int, loops: tuple[Loop, ...]) -> TileShape:
    """The register tile that wastes least: few padded channels, heights that divide the pixels of a row well."""
    lanes = target.lanes(dtype.itemsize)
    best: tuple[float, TileShape] | None = None
    for vectors in (1, 2, 3, 4):
        rows = min(14, (target.vector_registers - 1 - vectors) // vectors)
        if rows < 1:
            continue
        for height in range(max(1, rows - 3), rows + 1):
            shape = TileShape(height, vectors, lanes)
            cost = _cost(shape, results, loops)
            if best is None or cost < best[0] - 1e-9:
                best = (cost, shape)
    assert best is not None
    return best[1]


def _cost(shape: TileShape, results: int, loops: tuple[Loop, ...]) -> float:
    """Cycles per useful result of one step of the reduction, as far as loads and multiply-adds go."""
    needed = -(-results // shape.lanes)
    full, rest = divmod(needed, shape.vectors)
    widths = [shape.vectors] * full + ([rest] if rest else [])
    size = loops[-1].size
    if not isinstance(size, int):
        heights = [shape.rows]
    else:
        rows, pixels = _unit(shape, loops)
        count = rows * min(size, pixels)
        tiles = max(1, -(-count // shape.rows))
        heights = [count // tiles + (place < count % tiles) for place in range(tiles)]
    total = sum(_step_cycles(height, width) for height in heights for width in widths)
    return total / max(1, sum(heights)) / results


def _step_cycles(height: int, vectors: int) -> float:
    """One step: two multiply-adds and two loads a cycle, and sums that wait four cycles for each other."""
    sums = height * vectors
    return max(sums / 2, (height + vectors) / 2, 4.0 if sums >= 8 else 2.0 + sums / 4) + 0.25


def _unit(tile: TileShape, loops: tuple[Loop, ...]) -> tuple[int, int]:
    """Rows and pixels of one unit: several short rows as one tile, one row, or a part of a long one."""
    size = loops[-1].size
    if not isinstance(size, int):
        return 1, PIXELS
    if len(loops) > 1 and 0 < size <= tile.rows // 2:
        rows, a = loops[-2].size, (loops[-2].a, loops[-1].a)
        if isinstance(rows, int) and rows > 1 and all(isinstance(stride, int) for stride in a):
            return min(tile.rows // size, rows), size
    if size <= PIXELS:
        return 1, max(1, size)
    tiles = -(-size // tile.rows)
    least = -(-size // PIXELS)
    for parts in range(least, least + min(3 * least, 64)):
        if size % parts == 0 and size // parts >= tile.rows:
            return 1, size // parts
    return 1, -(-tiles // -(-size // PIXELS)) * tile.rows
