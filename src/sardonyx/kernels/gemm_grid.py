"""How a matrix product is cut: tiles of rows, panels of columns, and the tasks made of them.

C is cut into tiles of rows (the micro-kernel's height) and panels of columns (its width). A task is a block of up
to BLOCK_TILES tiles by a group of up to GROUP_PANELS panels: big enough to use what it loads into the caches many
times, small enough that a few threads share the work evenly. The cut depends on the sizes alone, never on the
number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import TileShape, choose_tile
from sardonyx.symbols import Dim, ceildiv
from sardonyx.targets import Target

__all__ = ["Grid", "plan_depth", "plan_grid"]

BLOCK_TILES = 8
"""Tiles of rows in one task; with GROUP_PANELS it bounds the task's sums to some 64 KiB."""

GROUP_PANELS = 4
"""Panels of columns in one task."""

FEW_TASKS = 8
SMALL_TASK = 1 << 17
"""Multiply-adds under which a task is not worth cutting further."""


@dataclass(frozen=True)
class Grid:
    """A product's cut: ``tiles`` x ``panels`` in ``blocks`` x ``groups`` tasks for each batch element."""

    shape: TileShape
    tiles: Dim
    panels: Dim
    blocks: Dim
    groups: Dim

    @property
    def tasks(self) -> Dim:
        """Tasks of one batch element."""
        return self.blocks * self.groups


def plan_grid(target: Target, dtype: DType, m: Dim, n: Dim, k: Dim) -> Grid:
    """The cut of an (m, k) x (k, n) product whose sums are of ``dtype``."""
    shape = choose_tile(target, dtype, n)
    tiles, panels = ceildiv(m, shape.rows), ceildiv(n, shape.columns)
    high, wide = BLOCK_TILES, GROUP_PANELS
    if isinstance(m, int) and isinstance(n, int):
        depth = k if isinstance(k, int) else plan_depth(target, shape, dtype)
        high, wide = _smaller(shape, m, n, depth)
    return Grid(shape, tiles, panels, ceildiv(tiles, high), ceildiv(panels, wide))


def plan_depth(target: Target, shape: TileShape, dtype: DType) -> int:
    """The longest stretch of k that is summed at once: a group's panels then take half of the second-level cache."""
    fitting = target.caches.l2 // 2 // (GROUP_PANELS * shape.columns * dtype.itemsize)
    return max(128, min(1024, fitting))


def _smaller(shape: TileShape, m: int, n: int, k: int) -> tuple[int, int]:
    """Tiles and panels of a task, cut down where there would be few tasks and each has work enough.

    Panels are kept as long as possible: a tile's rows of A are read from the first-level cache by all of them but one.
    With few rows it is the panels that must not be read twice.
    """
    high, wide = min(BLOCK_TILES, max(1, -(-m // shape.rows))), min(GROUP_PANELS, max(1, -(-n // shape.columns)))
    few_rows = m <= 4 * shape.rows
    while (high > 1 or wide > 1) and -(-m // (high * shape.rows)) * -(-n // (wide * shape.columns)) < FEW_TASKS:
        if high * shape.rows * wide * shape.columns * k < 2 * SMALL_TASK:
            break
        if high > 1 and not (few_rows and wide > 2):
            high //= 2
        else:
            wide //= 2
    return max(high, 1), max(wide, 1)
