"""3 x 3 convolution of stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3): 16 products for 4 results, not 36.

    WinogradPack, at load:  U[panel][p][c][:] = (G w G^T)[p]          p: the 16 places of a 4 x 4 patch
    WinogradInput:          V[p][tile][c]     = (B^T d B)[p]          d: the patch of a tile of 2 x 2 results
    WinogradProduct:        for block of tiles, panel:
                                for p: M[p][tile][:] = sum over c of V[p][tile][c] * U[panel][p][c][:]
                                for tile: store(epilogue(A^T M A + bias))

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015). The transforms only add, subtract
and halve, so that results keep nearly the accuracy of a direct sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.conv_plan import CACHE_LINE, plan_tasks, plan_tile
from sardonyx.kernels.gemm_tile import AHEAD_STEPS, Level, TileShape, emit_tile, split_rows
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import PointProgram, Position, emit_point, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv, symbol
from sardonyx.targets import Target

__all__ = ["PLACES", "WinogradCut", "WinogradInput", "WinogradPack", "WinogradProduct", "plan_winograd"]

PLACES = 16
"""Elements of a patch."""
BLOCK_ELEMENTS = 28 * 32
"""Sums of one place that a block keeps on the stack, for each of the 16 places."""


@dataclass(frozen=True)
class WinogradCut:
    """How the product is cut: register tile, patches of one block, blocks and panels of one task."""

    tile: TileShape
    block: int
    blocks_per_task: int
    panels_per_task: int


def plan_winograd(target: Target, dtype: DType, channels: int, results: int, patches: int, images: int) -> WinogradCut:
    """The cut for ``patches`` patches in each of ``images`` images."""
    tile = plan_tile(target, dtype, results, patches)
    most = max(tile.rows, BLOCK_ELEMENTS // tile.columns)
    block = max((b for b in range(most * 2 // 3, most + 1) if patches % b == 0), default=0)
    block = block or max(height for height, _ in split_rows(patches, most))
    panels = -(-results // tile.columns)
    blocks = -(-patches // block) * images
    work = patches * images * channels * results * PLACES
    more_weights = PLACES * results > patches * images * 4
    return WinogradCut(tile, block, *plan_tasks(blocks, panels, work, more_weights))


def _sizes(b: KernelBuilder, *dims: Dim) -> list[Value]:
    return [emit_dim(b, dim, lambda name: b.size(int(name[1:]))) for dim in dims]


@dataclass(frozen=True)
class WinogradPack:
    """Transforms 3 x 3 weights into panels of ``columns`` results: [panel][place][channel][column].

    The i64 arguments are the numbers of results and channels. Buffer 0 is the packed memory, buffer 1 the weights
    (results, channels, 3, 3), dense; one task is one panel.
    """

    source: DType
    dest: DType
    columns: int
    lanes: int

    @property
    def name(self) -> str:
        return "winograd_pack"

    def emit(self, b: KernelBuilder) -> None:
        dest, source = b.buffer(0, self.dest), b.buffer(1, self.source)
        results, channels = b.size(0), b.size(1)
        with b.tasks() as panel, b.loop(channels) as channel, b.loop(self.columns, 0, self.lanes) as column:
            first = panel * self.columns + column
            steps = (b.iota(I64.with_lanes(self.lanes)) + first) * (channels * 9) + channel * 9
            inside = b.tail_mask(results - first, self.lanes)
            w = [[source.at(3 * i + j).gather(steps, inside).to(self.dest) for j in range(3)] for i in range(3)]
            columns = [self._filter([w[i][j] for i in range(3)]) for j in range(3)]
            for i in range(4):
                for j, value in enumerate(self._filter([columns[k][i] for k in range(3)])):
                    row = (panel * PLACES + 4 * i + j) * channels + channel
                    dest.store(value, row * self.columns + column)

    @staticmethod
    def _filter(w: Sequence[Value]) -> list[Value]:
        """G w for three elements."""
        outer, middle = (w[0] + w[2]) * 0.5, w[1] * 0.5
        return [w[0], outer + middle, outer - middle, w[2]]


@dataclass(frozen=True)
class WinogradInput:
    """Transforms the patches of a padded image, channels last: V[place][image, row, column of patches][channel].

    The i64 arguments, so that all layers share the code: channels; rows and columns of patches in each image, which
    begin two pixels apart; the source's strides: batch, rows and pixels; the distance of two places in V. Buffer 0 is
    V, buffer 1 the source; one task is one row of patches of one image.
    """

    dtype: DType

    @property
    def name(self) -> str:
        return "winograd_input"

    def emit(self, b: KernelBuilder) -> None:
        dest, source = b.buffer(0, self.dtype), b.buffer(1, self.dtype)
        channels, rows, columns, image_stride, row_stride, pixel_stride, place_stride = (b.size(k) for k in range(7))
        lanes = b.target.lanes(self.dtype.itemsize)
        with b.tasks() as task, b.loop(columns) as column:
            image, row = task // rows, task % rows
            patch = source.at(image * image_stride + row * 2 * row_stride + column * 2 * pixel_stride)
            target = dest.at((task * columns + column) * channels)

            def transform(channel: Value, mask: Value | None) -> None:
                d = [
                    [patch.load(row_stride * i + pixel_stride * j + channel, lanes, mask) for j in range(4)]
                    for i in range(4)
                ]
                turned = [self._patch([d[i][j] for i in range(4)]) for j in range(4)]
                for i in range(4):
                    for j, value in enumerate(self._patch([turned[k][i] for k in range(4)])):
                        target.store(value, place_stride * (4 * i + j) + channel, mask)

            b.vector_loop(channels, lanes, transform)

    @staticmethod
    def _patch(d: Sequence[Value]) -> list[Value]:
        """B^T d for four elements."""
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


@dataclass(frozen=True)
class WinogradProduct:
    """Multiplies V by U and transforms back; the epilogue runs over (batch, row, column, channel).

    V holds ``rows`` rows of 2 x 2 tiles of each image, from tile row ``first_row`` on; an image has ``height`` x
    ``width`` results. ``out_strides`` are the output's: batch, rows, pixels; channels are adjacent. Buffers: 0 output,
    1 V, 2 U, 3 bias (with ``bias``), then the epilogue's.
    """

    dtype: DType
    out_dtype: DType
    channels: int
    results: int
    batch: Dim
    rows: int
    first_row: Dim
    height: int
    width: int
    place_stride: Dim
    out_strides: tuple[Dim, ...]
    cut: WinogradCut
    bias: DType | None
    program: PointProgram
    sizes: int

    @property
    def name(self) -> str:
        return "winograd"

    @property
    def columns(self) -> int:
        """Tiles of one row of results."""
        return -(-self.width // 2)

    @property
    def patches(self) -> int:
        """Tiles of one image."""
        return self.columns * self.rows

    @property
    def panels(self) -> int:
        return -(-self.results // self.cut.tile.columns)

    @property
    def blocks(self) -> int:
        """Blocks of one image."""
        return -(-self.patches // self.cut.block)

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        blocks = ceildiv(self.batch * self.blocks, self.cut.blocks_per_task)
        return blocks * -(-self.panels // self.cut.panels_per_task)

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: WinogradProduct, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.tile = spec.cut.tile
        self.sums = b.local(spec.dtype, PLACES * spec.cut.block * self.tile.columns)
        self.place_stride, self.first_row = _sizes(b, spec.place_stride, spec.first_row)
        self.store_offset: Dim = symbol("i3")
        for place, stride in enumerate(spec.out_strides):
            self.store_offset = self.store_offset + symbol(f"i{place}") * stride

    def emit(self) -> None:
        b, spec, cut = self.b, self.spec, self.spec.cut
        (blocks, groups) = _sizes(b, spec.batch * spec.blocks, ceildiv(spec.batch * spec.blocks, cut.blocks_per_task))
        with b.tasks() as task:
            first_panel, first_block = task // groups * cut.panels_per_task, task % groups * cut.blocks_per_task
            last_panel = b.minimum(first_panel + cut.panels_per_task, spec.panels)
            last_block = b.minimum(first_block + cut.blocks_per_task, blocks)
            with b.loop(last_panel, first_panel) as panel, b.loop(last_block, first_block) as block:
                self.panel(panel, block)

    def panel(self, panel: Value, block: Value) -> None:
        """One block with one panel; the last panel may be narrower."""
        spec, b = self.spec, self.b
        rest = spec.results % self.tile.columns
        narrow = -(-rest // self.tile.lanes) if rest else self.tile.vectors
        if not rest or spec.panels == 1:
            self.block(panel, block, narrow, bool(rest))
            return
        with b.if_else(panel == spec.panels - 1) as (last, full):
            with last:
                self.block(panel, block, narrow, True)
            with full:
                self.block(panel, block, self.tile.vectors, False)

    def block(self, panel: Value, block: Value, vectors: int, tail: bool) -> None:
        """All tiles of one block with one panel; the last block of an image may be smaller."""
        spec, b = self.spec, self.b
        image, number = unravel(b, block, [b.i64(0), b.i64(spec.blocks)])
        first = number * spec.cut.block
        rest = spec.patches % spec.cut.block
        if not rest or spec.blocks == 1:
            self.tiles(panel, image, first, rest or spec.cut.block, vectors, tail)
            return
        with b.if_else(number == spec.blocks - 1) as (last, full):
            with last:
                self.tiles(panel, image, first, rest, vectors, tail)
            with full:
                self.tiles(panel, image, first, spec.cut.block, vectors, tail)

    def tiles(self, panel: Value, image: Value, first: Value, count: int, vectors: int, tail: bool) -> None:
        """``count`` tiles of an image from ``first`` on."""
        spec, b = self.spec, self.b
        source = b.buffer(1, spec.dtype).at((image * spec.patches + first) * spec.channels)
        size = spec.channels * self.tile.columns
        weights = b.buffer(2, spec.dtype).at(panel * (PLACES * size))
        parts = split_rows(count, self.tile.rows)
        share = self.share(sum(number for _, number in parts))
        with b.loop(PLACES) as place:
            done = 0
            for height, number in parts:
                with b.loop(number) as part:
                    start = part * height + done
                    u = weights.at(place * size)

                    def ahead(k: Value, u: object = u, start: Value = start) -> None:
                        line = CACHE_LINE // spec.dtype.itemsize
                        at = weights.at(place * size + size + k * self.tile.columns + start % 2 * (share * line))
                        for step in range(share):
                            b.prefetch(at.at(step * line), locality=2)

                    sums = emit_tile(
                        b,
                        [row * spec.channels for row in range(height)],
                        vectors,
                        source.at(place * self.place_stride + start * spec.channels),
                        u,
                        [Level(spec.channels, 1, self.tile.columns)],
                        lanes=self.tile.lanes,
                        whole=self.tile.vectors,
                        ahead=ahead if share else None,
                    )
                    for row, values in enumerate(sums):
                        for vector, value in enumerate(values):
                            self.sums.store(value, self.sum_at(place, start + row, vector))
                done += height * number
        with b.loop(count) as tile:
            self.finish(panel, image, first, tile, vectors, tail)

    def share(self, tiles: int) -> int:
        """Cache lines of the next place's weights that one tile asks for at a time; 0 where they stay in the cache."""
        spec = self.spec
        size = PLACES * spec.channels * self.tile.columns * self.spec.panels * spec.dtype.itemsize
        if size < self.b.target.caches.l2 // 2 or spec.channels < 2 * AHEAD_STEPS:
            return 0
        return -(-AHEAD_STEPS * self.tile.columns * spec.dtype.itemsize // (CACHE_LINE * min(tiles, 2)))

    def sum_at(self, place: Value | int, tile: Value, vector: int) -> Value:
        """Where the stack holds a vector of M."""
        return (tile * PLACES + place) * self.tile.columns + vector * self.tile.lanes

    def finish(self, panel: Value, image: Value, first: Value, tile: Value, vectors: int, tail: bool) -> None:
        """Transforms one tile's sums back and stores its results, as far as they lie inside the image."""
        spec, b, lanes = self.spec, self.b, self.tile.lanes
        row = (self.first_row + (first + tile) // spec.columns) * 2
        column = (first + tile) % spec.columns * 2
        for vector in range(vectors):
            channel = panel * self.tile.columns + vector * lanes
            mask = None
            if tail and vector == vectors - 1 and spec.results % lanes:
                mask = b.tail_mask(b.i64(spec.results) - channel, lanes)
            m = [[self.sums.load(self.sum_at(4 * i + j, tile, vector), lanes) for j in range(4)] for i in range(4)]
            columns = [self._results([m[i][j] for i in range(4)]) for j in range(4)]
            bias = None
            if spec.bias is not None:
                bias = b.buffer(3, spec.bias).load(channel, lanes, mask).to(spec.dtype)
            for i in range(2):
                for j, value in enumerate(self._results([columns[k][i] for k in range(4)])):
                    result = value if bias is None else value + bias
                    index = [image, row + i, column + j, channel]
                    self.store(result, index, (i, j), mask)

    def store(self, value: Value, index: list[Value], corner: tuple[int, int], mask: Value | None) -> None:
        """Applies the epilogue to a vector and stores it, unless it lies past an odd border."""
        spec, b = self.spec, self.b

        def inside() -> None:
            position = Position(index, self.tile.lanes, 3, mask)
            (result,) = emit_point(b, spec.program, position, [value], 3 + (spec.bias is not None), spec.sizes)
            emit_store(b, 0, spec.out_dtype, self.store_offset, result, position)

        conditions = []
        if corner[0] and spec.height % 2:
            conditions.append(index[1] < spec.height)
        if corner[1] and spec.width % 2:
            conditions.append(index[2] < spec.width)
        if not conditions:
            inside()
            return
        with b.if_(conditions[0] if len(conditions) == 1 else conditions[0] & conditions[1]):
            inside()

    @staticmethod
    def _results(m: Sequence[Value]) -> list[Value]:
        """A^T m for four elements."""
        return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
