"""Attention: softmax(scale * Q K^T + mask) V in one kernel; the scores never leave the caches.

    for task in [begin, end):                              # one tile of query rows of one head of one batch element
        top, total, sums = -inf, 0, 0                      # of each row
        for block of KEYS keys:
            scores[row][key] = scale * sum over d of q[row][d] * k[key][d] + mask        # micro-kernel on packed keys
            peak = max(top, max of scores[row])
            scores = exp(scores - peak); shrink = exp(top - peak); top = peak
            total = total * shrink + sum of scores[row]
            sums[row][:] = sums[row][:] * shrink + sum over keys of scores[row][key] * v[key][:]    # micro-kernel
        out[row][:] = sums[row][:] / total

The running maximum and sum are those of "Online normalizer calculation for softmax" (Milakov and Gimelshein, 2018).
Keys are packed in panels (kernels/pack.py) where there are rows enough to pay for it; with FEW_ROWS or fewer each score
is a dot product of rows as they lie. A row whose scores are all -inf gives NaN, as the softmax of such a row does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import Level, TileShape, choose_tile, emit_rest, emit_tile, row_offsets, split_rows
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.lang.vmath import exp, tanh
from sardonyx.symbols import Dim, ceildiv, minimum, symbol
from sardonyx.targets import Target

__all__ = ["FEW_ROWS", "Attention", "key_panels", "packs_keys", "query_tiles"]

KEYS = 256
"""Keys in one block: a tile's scores then stay in the first-level cache."""

FEW_ROWS = 3
"""Most query rows whose scores are dot products of unpacked rows; packing the keys would cost more than it saves."""

WIDEST = 4
"""Vectors of values that a tile of few rows sums at once."""


def key_panels(target: Target, dtype: DType) -> TileShape:
    """The tile that queries and packed keys are multiplied by."""
    return choose_tile(target, dtype, symbol("keys"))


def query_tiles(target: Target, dtype: DType, queries: Dim) -> Dim:
    """Tiles of query rows of one head: one task each."""
    return ceildiv(queries, key_panels(target, dtype).rows)


def packs_keys(queries: Dim, depth: Dim, *, adjacent: bool) -> Dim:
    """1 where the keys must be packed, else 0; ``adjacent``: the elements of one key are."""
    return minimum(queries // (FEW_ROWS + 1), 1) if adjacent and isinstance(depth, int) else 1


@dataclass(frozen=True)
class Attention:
    """One attention of (batch, heads, queries, depth) with (batch, heads / group, keys, depth) and (..., keys, width).

    Strides are those of batch, head and row; elements of a row are adjacent (of keys only with ``adjacent_keys``).
    ``dtype`` is that of all four in memory; half precision is computed in float32. ``mask`` is the dtype of an additive
    or boolean (True: attend) mask with strides of batch, head, query and key. ``softcap`` c, unless 0, bounds scaled
    scores by c * tanh(score / c). ``zero_masked``: a row that sees no key gives 0, not NaN.

    Query i stands at p = i + ``past`` and sees the keys from p - ``left`` to p + ``right`` (None: all on that side).
    ``lengths``, the integer type of one number for each element of the batch, says how many keys there are in truth;
    ``past`` is then lengths[b] - queries, and with ``clamped`` at least 0. With ``sink`` each head has a score of its
    own that takes part in the softmax and has no value. Buffers: queries, keys, packed keys (of batch * heads / group,
    in the order of ``Pack``), values, output, then mask, lengths and sinks where there are such.
    """

    dtype: DType
    heads: Dim
    group: Dim
    queries: Dim
    keys: Dim
    depth: Dim
    width: int
    q_strides: tuple[Dim, Dim, Dim]
    k_strides: tuple[Dim, Dim, Dim]
    v_strides: tuple[Dim, Dim, Dim]
    out_strides: tuple[Dim, Dim, Dim]
    scale: float
    mask: DType | None = None
    mask_strides: tuple[Dim, Dim, Dim, Dim] = (0, 0, 0, 0)
    left: int | None = None
    right: int | None = None
    past: Dim = 0
    softcap: float = 0.0
    adjacent_keys: bool = True
    zero_masked: bool = False
    lengths: DType | None = None
    clamped: bool = False
    sink: bool = False

    @property
    def name(self) -> str:
        return "attention"

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Attention, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.dtype = compute_dtype(spec.dtype)
        self.shape = key_panels(b.target, self.dtype)
        self.lanes = self.shape.lanes
        self.type = Type(self.dtype, self.lanes)
        self.scores_step = -(-KEYS // self.shape.columns) * self.shape.columns + self.lanes
        self.sums_step = -(-spec.width // self.lanes) * self.lanes
        rows = self.shape.rows
        self.scores = b.local(self.dtype, rows * self.scores_step)
        self.sums = b.local(self.dtype, rows * self.sums_step)
        self.top, self.total, self.shrink = (b.local(self.dtype, rows) for _ in range(3))

    def dim(self, value: Dim) -> Value:
        return emit_dim(self.b, value, lambda name: self.b.size(int(name[1:])))

    def start(self, buffer: int, strides: tuple[Dim, ...], *index: Value) -> Pointer:
        pointer = self.b.buffer(buffer, self.spec.dtype)
        for stride, place in zip(strides, index, strict=False):
            pointer = pointer.at(place * self.dim(stride))
        return pointer

    def emit(self) -> None:
        b, spec = self.b, self.spec
        tiles, heads = self.dim(query_tiles(b.target, self.dtype, spec.queries)), self.dim(spec.heads)
        with b.tasks() as task:
            tile, head_number = b.index_rem(task, tiles), b.index_div(task, tiles)
            self.head, self.batch = b.index_rem(head_number, heads), b.index_div(head_number, heads)
            key_head = b.index_div(self.head, self.dim(spec.group))
            key_heads = b.index_div(heads, self.dim(spec.group))
            self.row, self.count = self.tile_rows(tile)
            self.q = self.start(0, spec.q_strides, self.batch, self.head, self.row)
            self.k = self.start(1, spec.k_strides, self.batch, key_head)
            panels = self.dim(ceildiv(spec.keys, self.shape.columns) * spec.depth) * self.shape.columns
            self.packed = b.buffer(2, self.dtype).at((self.batch * key_heads + key_head) * panels)
            self.v = self.start(3, spec.v_strides, self.batch, key_head)
            self.out = self.start(4, spec.out_strides, self.batch, self.head, self.row)
            self.known, self.past = self.extent()
            self.tile()

    def extent(self) -> tuple[Value, Value]:
        """The number of keys of this element of the batch, and the place of query 0 among them."""
        b, spec = self.b, self.spec
        keys = self.dim(spec.keys)
        if spec.lengths is None:
            return keys, self.dim(spec.past)
        given = b.buffer(5 + (spec.mask is not None), spec.lengths).load(self.batch).to(dtypes.int64)
        length = b.maximum(b.minimum(given, keys), 0)
        past = length - self.dim(spec.queries)
        return length, b.maximum(past, 0) if spec.clamped else past

    def tile_rows(self, tile: Value) -> tuple[Value, Value]:
        """The first row of a tile and how many it has; equal heights where the number of rows is constant."""
        rows, queries = self.shape.rows, self.spec.queries
        if not isinstance(queries, int):
            return tile * rows, self.b.minimum(self.dim(queries) - tile * rows, rows)
        parts = split_rows(queries, rows)
        if len(parts) < 2:
            height = parts[0][0] if parts else rows
            return tile * height, self.b.i64(height)
        (height, number), _ = parts
        first = tile * (height - 1) + self.b.minimum(tile, number)
        return first, self.b.select(tile < number, self.b.i64(height), self.b.i64(height - 1))

    def by_height(self, body: Callable[[Value, int], None]) -> None:
        """``body(first row, height)`` over the tile's rows, by micro-kernels that exist for them."""
        b, queries = self.b, self.spec.queries
        if isinstance(queries, int):
            parts = split_rows(queries, self.shape.rows)
            for height, _ in parts:
                with b.if_(self.count == height):
                    body(b.i64(0), height)
            return
        rows = self.shape.rows
        with b.if_else(self.count == rows) as (whole, part):
            with whole:
                body(b.i64(0), rows)
            with part:
                emit_rest(b, self.count, rows, body)

    # -- one tile ------------------------------------------------------------------------------------------------

    def tile(self) -> None:
        b, spec = self.b, self.spec
        top, total = b.const(float("-inf"), Type(self.dtype)), b.zero(Type(self.dtype))
        if spec.sink:
            place = 5 + (spec.mask is not None) + (spec.lengths is not None)
            top, total = b.buffer(place, spec.dtype).load(self.head).to(self.dtype), b.const(1.0, Type(self.dtype))
        with b.loop(self.count) as row:
            self.top.store(top, row)
            self.total.store(total, row)
            with b.loop(self.sums_step, 0, self.lanes) as column:
                self.sums.store(b.zero(self.type), row * self.sums_step + column)
        begin, end = b.i64(0), self.known
        if spec.right is not None:
            end = b.maximum(b.minimum(end, self.row + self.count + self.past + spec.right), 0)
        if spec.left is not None:  # whole panels
            begin = b.index_div(b.maximum(self.row + self.past - spec.left, 0), b.i64(self.shape.columns))
            begin = begin * self.shape.columns
        with b.loop(end, begin, KEYS) as first:
            keys = b.minimum(end - first, KEYS)
            self.block_scores(first, keys)
            self.normalise(first, keys, end)
            self.add_values(first, keys)
        self.finish()

    def block_scores(self, first: Value, keys: Value) -> None:
        """Products of the tile's queries with the keys of one block, and whatever fills the last vectors."""
        b, spec = self.b, self.spec
        if not isinstance(spec.depth, int) or not spec.adjacent_keys:
            self.panel_scores(first, keys)
        elif isinstance(spec.queries, int):
            if spec.queries <= FEW_ROWS:
                self.dot_scores(spec.depth, first, keys)
            else:
                self.panel_scores(first, keys)
        else:
            with b.if_else(self.dim(spec.queries) > FEW_ROWS) as (many, few):
                with many:
                    self.panel_scores(first, keys)
                with few:
                    self.dot_scores(spec.depth, first, keys)

    def panel_scores(self, first: Value, keys: Value) -> None:
        b, spec, columns = self.b, self.spec, self.shape.columns
        stride = spec.q_strides[2]
        step = stride if isinstance(stride, int) else self.dim(stride)
        depth = spec.depth if isinstance(spec.depth, int) else self.dim(spec.depth)

        def rows(at: Value, height: int) -> None:
            queries = self.q.at(at * step)
            with b.loop(keys, 0, columns) as key:
                panel = self.packed.at((first + key) * self.dim(spec.depth))
                level = Level(depth, 1, columns)
                sums = emit_tile(b, row_offsets(step, height), self.shape.vectors, queries, panel, [level])
                for r, values in enumerate(sums):
                    for v, value in enumerate(values):
                        self.scores.store(value, (at + r) * self.scores_step + key + v * self.lanes)

        self.by_height(rows)

    def dot_scores(self, depth: int, first: Value, keys: Value) -> None:
        """Scores as dot products, a vector of keys at a time."""
        b, spec, lanes = self.b, self.spec, self.lanes
        vectors = -(-depth // lanes)
        last_mask = b.tail_mask(depth % lanes, lanes) if depth % lanes else None
        masks = [last_mask if v == vectors - 1 else None for v in range(vectors)]
        final = self.dim(spec.keys) - 1
        with b.loop(self.count) as row:
            query = self.q.at(row * self.dim(spec.q_strides[2]))
            columns = [query.load(v * lanes, lanes, mask).to(self.dtype) for v, mask in enumerate(masks)]
            with b.loop(keys, 0, lanes) as key:
                sums = []
                for lane in range(lanes):
                    source = self.k.at(b.minimum(first + key + lane, final) * self.dim(spec.k_strides[2]))
                    total = b.zero(self.type)
                    for v, mask in enumerate(masks):
                        total = b.fma(columns[v], source.load(v * lanes, lanes, mask).to(self.dtype), total)
                    sums.append(total)
                self.scores.store(_sum_lanes(b, sums), row * self.scores_step + key)

    def score(self, row: Value, place: Value, end: Value, product: Value) -> Value:
        """One vector of scores: the product scaled and masked, -inf from ``end`` on."""
        b, spec = self.b, self.spec
        value = product * spec.scale
        if spec.softcap:
            value = tanh(value * (1 / spec.softcap)) * spec.softcap
        limit = end
        if spec.right is not None:
            limit = b.minimum(end, self.row + row + self.past + (spec.right + 1))
        inside = b.tail_mask(b.maximum(limit - place, 0), self.lanes)
        if spec.left is not None:
            before = self.row + row + self.past - spec.left - place
            inside = inside & ~b.tail_mask(b.maximum(before, 0), self.lanes)
        if spec.mask is not None:
            value = self.masked(row, place, value, inside)
        return b.select(inside, value, float("-inf"))

    def masked(self, row: Value, key: Value, value: Value, inside: Value) -> Value:
        b, spec = self.b, self.spec
        assert spec.mask is not None
        pointer = b.buffer(5, spec.mask)
        for stride, place in zip(spec.mask_strides, (self.batch, self.head, self.row + row, key), strict=True):
            pointer = pointer.at(place * self.dim(stride))
        if spec.mask_strides[3] == 1:
            mask = pointer.load(0, self.lanes, inside)
        else:
            mask = pointer.gather(b.iota(I64.with_lanes(self.lanes)) * self.dim(spec.mask_strides[3]), inside)
        if spec.mask is dtypes.bool_:
            return b.select(mask, value, float("-inf"))
        return value + mask.to(self.dtype)

    def normalise(self, first: Value, keys: Value, end: Value) -> None:
        """Products to scores to weights; the running maximum and sum of each row."""
        b, lanes, scalar = self.b, self.lanes, Type(self.dtype)
        lowest = b.const(float("-inf"), scalar)
        with b.loop(self.count) as row:
            scores = self.scores.at(row * self.scores_step)
            highest = b.var(b.splat(lowest, lanes))
            with b.loop(keys, 0, lanes) as key:
                value = self.score(row, first + key, end, scores.load(key, lanes))
                scores.store(value, key)
                highest.set(b.select(value > highest.get(), value, highest.get()))
            before = self.top.load(row)
            found = b.reduce(lambda x, y: b.select(x > y, x, y), highest.get())
            top = b.select(before > found, before, found)
            base = b.select(top == lowest, b.zero(scalar), top)
            total = b.var(b.zero(self.type))
            with b.loop(keys, 0, lanes) as key:
                weight = exp(scores.load(key, lanes) - base)
                scores.store(weight, key)
                total.set(total.get() + weight)
            shrink = exp(before - base)
            self.top.store(top, row)
            self.shrink.store(shrink, row)
            self.total.store(self.total.load(row) * shrink + b.reduce(lambda x, y: x + y, total.get()), row)

    def add_values(self, first: Value, keys: Value) -> None:
        """Adds the block's weighted values to the sums."""
        b, spec, lanes = self.b, self.spec, self.lanes
        stride = spec.v_strides[2]
        step = stride if isinstance(stride, int) else self.dim(stride)
        source = self.v.at(first * step)

        def rows(at: Value, height: int) -> None:
            most = self.shape.vectors if height * WIDEST > self.shape.rows * self.shape.vectors else WIDEST
            weights = self.scores.at(at * self.scores_step)
            for column in range(0, spec.width, most * lanes):
                left = spec.width - column
                vectors = min(most, -(-left // lanes))
                mask = b.tail_mask(left % lanes, lanes) if left < vectors * lanes else None
                target = self.sums.at(at * self.sums_step + column)
                start = [
                    [
                        target.load(r * self.sums_step + v * lanes, lanes) * self.shrink.load(at + r)
                        for v in range(vectors)
                    ]
                    for r in range(height)
                ]
                sums = emit_tile(
                    b, row_offsets(self.scores_step, height), vectors, weights, source.at(column),
                    [Level(keys, 1, step)], start=start, mask=mask,
                )  # fmt: skip
                for r, values in enumerate(sums):
                    for v, value in enumerate(values):
                        target.store(value, r * self.sums_step + v * lanes)

        self.by_height(rows)

    def finish(self) -> None:
        b, spec, lanes = self.b, self.spec, self.lanes
        with b.loop(self.count) as row:
            # Without keys, the sum over none of them is 0.
            total, one = self.total.load(row), b.const(1.0, Type(self.dtype))
            total = b.select((total == 0) if spec.zero_masked else (self.dim(spec.keys) == 0), one, total)
            source, target = self.sums.at(row * self.sums_step), self.out.at(row * self.dim(spec.out_strides[2]))

            def body(column: Value, mask: Value | None, source: Pointer = source, target: Pointer = target) -> None:
                target.store((source.load(column, lanes) / total).to(spec.dtype), column, mask)

            b.vector_loop(spec.width, lanes, body)


def _sum_lanes(b: KernelBuilder, vectors: list[Value]) -> Value:
    """The sum of each vector's lanes in the lane of its place: as many vectors as lanes, a power of two."""
    step = 1
    while len(vectors) > 1:
        lanes = vectors[0].lanes
        even = [lane + (lanes - step if lane & step else 0) for lane in range(lanes)]
        odd = [lane + (lanes if lane & step else step) for lane in range(lanes)]
        vectors = [
            b.shuffle(x, y, even) + b.shuffle(x, y, odd) for x, y in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        step *= 2
    return vectors[0]
