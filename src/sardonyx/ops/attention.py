"""Attention: the operator of ONNX, and the one that the fusion of its parts makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.attention import Attention as AttentionKernel
from sardonyx.kernels.attention import key_panels, packs_keys, query_tiles
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.product import require_broadcast
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, ceildiv, known_equal, maximum, minimum, product, symbol

__all__ = ["Attention", "FusedAttention", "fits_kernel"]

WIDEST_VALUES = 512
"""Longest rows of values: their sums lie on the stack."""

FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)


def fits_kernel(dtype: DType | None, width: Dim) -> bool:
    """Whether the kernel takes elements of ``dtype`` and rows of ``width`` values."""
    return dtype in FLOATS and isinstance(width, int) and width <= WIDEST_VALUES


@dataclass(frozen=True)
class _Parts:
    """The operands of one attention, each (batch, heads, rows, elements); the mask has any shape that broadcasts to
    (batch, heads, queries, keys). ``lengths`` has the number of keys of each element of the batch, ``sink`` a score of
    each head."""

    query: Operand
    key: Operand
    value: Operand
    out: Operand
    mask: Operand | None
    lengths: Operand | None = None
    sink: Operand | None = None


def _emit(
    ctx: LowerContext,
    parts: _Parts,
    scale: float,
    *,
    left: int | None = None,
    right: int | None = None,
    past: Dim = 0,
    softcap: float = 0.0,
    zero_masked: bool = False,
    clamped: bool = False,
) -> None:
    """Packs the keys where that pays and runs the kernel; see there for what the options mean."""
    q, k, v = parts.query, parts.key, parts.value
    (batch, heads, queries, depth), (_, key_heads, keys, _) = q.shape, k.shape
    width = v.shape[3]
    assert isinstance(width, int)
    dtype = compute_dtype(q.dtype)
    shape, adjacent = key_panels(ctx.target, dtype), k.strides[3] == 1 or depth == 1
    packs = packs_keys(queries, depth, adjacent=adjacent)
    groups = batch * key_heads
    packed = ctx.scratch(dtype, packed_size(depth, keys, shape.columns) * groups * packs)
    inner, index = Slots(), symbol("i0")
    offset = index % inner.add(key_heads) * inner.add(k.strides[1]) + index // inner.add(key_heads) * inner.add(
        k.strides[0]
    )
    strides = (inner.add(k.strides[3]), inner.add(k.strides[2]))
    pack = Pack.of(shape, inner.add(depth), inner.add(keys), k.dtype, dtype, strides, offset)
    if packs != 0:
        tasks = ceildiv(keys, shape.columns) * groups * packs
        ctx.call(pack, [packed, k], inner.sizes, tasks, depth * keys * groups)
    slots = Slots()

    def three(operand: Operand) -> tuple[Dim, Dim, Dim]:
        first, second, third = (slots.add(stride) for stride in operand.strides[:3])
        return first, second, third

    kernel = AttentionKernel(
        dtype=q.dtype,
        heads=slots.add(heads),
        group=slots.add(1 if known_equal(heads, key_heads) else maximum(heads // maximum(key_heads, 1), 1)),
        queries=slots.add(queries),
        keys=slots.add(keys),
        depth=slots.add(depth),
        width=width,
        q_strides=three(q),
        k_strides=three(k),
        v_strides=three(v),
        out_strides=three(parts.out),
        scale=scale,
        mask=None if parts.mask is None else parts.mask.dtype,
        mask_strides=_mask_strides(slots, parts.mask, (batch, heads, queries, keys)),
        left=left,
        right=right,
        past=slots.add(past),
        softcap=softcap,
        adjacent_keys=adjacent,
        zero_masked=zero_masked,
        lengths=None if parts.lengths is None else parts.lengths.dtype,
        clamped=clamped,
        sink=parts.sink is not None,
    )
    optional = [part for part in (parts.mask, parts.lengths, parts.sink) if part is not None]
    operands = [q, k, packed, v, parts.out, *optional]
    tasks = batch * heads * query_tiles(ctx.target, dtype, queries)
    ctx.call(kernel, operands, slots.sizes, tasks, 2 * batch * heads * queries * keys * (depth + width))


def _mask_strides(slots: Slots, mask: Operand | None, full: Sequence[Dim]) -> tuple[Dim, Dim, Dim, Dim]:
    strides: list[Dim] = [0, 0, 0, 0]
    if mask is not None:
        for axis, (own, stride, size) in enumerate(
            zip(mask.shape, mask.strides, full[4 - mask.rank :], strict=True), start=4 - mask.rank
        ):
            if own != 1:
                certain = isinstance(own, int) or known_equal(own, size)
                strides[axis] = slots.add(stride if certain else stride * minimum(own - 1, 1))
    return strides[0], strides[1], strides[2], strides[3]


def _check_sizes(ctx: InferContext, q: Sequence[Dim], k: Sequence[Dim], v: Sequence[Dim]) -> None:
    """Q, K and V of four dimensions fit together; heads of Q are a multiple of those of K."""
    for name, other in (("keys", k), ("values", v)):
        ctx.require_equal(q[0], other[0], f"queries are of batch {q[0]}, {name} of batch {other[0]}")
    ctx.require_equal(k[1], v[1], f"keys have {k[1]} heads, values {v[1]}")
    ctx.require_equal(k[2], v[2], f"there are {k[2]} keys and {v[2]} values")
    ctx.require_equal(q[3], k[3], f"queries have {q[3]} elements, keys {k[3]}")
    message = f"{q[1]} heads of queries cannot share {k[1]} heads of keys"
    ctx.require_equal(q[1] % maximum(k[1], 1), 0, message)


def _check_mask(ctx: InferContext, scores: Sequence[Dim]) -> None:
    """The mask broadcasts to the scores; a mask for fewer keys is none of the kernel's."""
    mask = ctx.optional(3)
    if mask is None or mask.shape is None:
        return
    if len(mask.shape) > 4:
        ctx.fail(f"the mask must have at most 4 dimensions, got shape {list(mask.shape)}")
    for own, size in zip(reversed(mask.shape[:-1]), reversed(scores[:-1]), strict=False):
        message = f"a mask of shape {list(mask.shape)} cannot be broadcast to {list(scores)}"
        require_broadcast(ctx, own, size, message)


def _check_dtypes(ctx: InferContext) -> None:
    """Queries, keys, values and the scores of heads have one element type; numbers of keys are integers."""
    dtype, lengths = ctx.input(0).dtype, ctx.optional(4)
    for index in (1, 2, 5):
        info = ctx.optional(index)
        if info is not None and info.dtype != dtype:
            ctx.fail(f"input {index} must be {dtype}, as the queries are, got {info.dtype}")
    if lengths is not None and lengths.dtype not in (dtypes.int32, dtypes.int64):
        ctx.fail(f"numbers of keys must be int32 or int64, got {lengths.dtype}")


def _rows(ctx: LowerContext, index: int) -> Operand:
    """An input whose last dimension is adjacent in memory."""
    operand = ctx.input(index)
    return operand if operand.strides[-1] == 1 or operand.shape[-1] == 1 else ctx.contiguous(index)


@op("Attention", domain="sardonyx")
class FusedAttention(Anchor):
    """softmax(scale * Q K^T + mask) V over (batch, heads, rows, elements); what passes/attention.py makes, and what the
    attention operators outside the standard are expanded to.

    Inputs: Q, K and V, whose heads may be fewer, and optionally: an additive or boolean mask that broadcasts to the
    scores; int32 or int64 numbers of keys, one for each element of the batch; scores, one for each head, that take part
    in the softmax and have no value.

    ``causal``: query i sees the keys up to i + past, and with ``window`` only the last ``window`` of those. The past is
    the number of keys less that of queries, but none unless ``cached`` (with numbers of keys: at least 0). With
    ``transposed_output`` the result lies in memory as (batch, rows, heads, elements), so that the transposition that
    follows costs nothing. A row that sees no key gives NaN, as Softmax does, or 0 with ``zero_masked``.
    """

    scale: float = 1.0
    cached: int = 0
    causal: int = 0
    softcap: float = 0.0
    transposed_output: int = 0
    window: int = 0
    zero_masked: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        q, k, v = (ctx.input(index).shape for index in range(3))
        _check_dtypes(ctx)
        if q is None or k is None or v is None:
            return (TensorInfo(ctx.input(0).dtype, None),)
        _check_sizes(ctx, q, k, v)
        _check_mask(ctx, (*q[:3], k[2]))
        for index, size in ((4, q[0]), (5, q[1])):
            info = ctx.optional(index)
            if info is not None and info.shape is not None:
                message = f"input {index} must have shape [{size}], got {[*map(str, info.shape)]}"
                if len(info.shape) != 1:
                    ctx.fail(message)
                ctx.require_equal(info.shape[0], size, message)
        return (TensorInfo(ctx.input(0).dtype, (*q[:3], v[3])),)

    def lowers(self, ctx: InferContext) -> bool:
        shapes = [ctx.input(index).shape for index in range(3)]
        last = shapes[2]
        ranks = all(shape is not None and len(shape) == 4 for shape in shapes)
        return ranks and last is not None and fits_kernel(ctx.input(0).dtype, last[3])

    def lower(self, ctx: LowerContext) -> None:
        out = ctx.output(0, (0, 2, 1, 3) if self.transposed_output else None)
        mask = None if ctx.infer.optional(3) is None else ctx.input(3)
        lengths, sink = (None if ctx.infer.optional(index) is None else ctx.contiguous(index) for index in (4, 5))
        parts = _Parts(_rows(ctx, 0), ctx.input(1), _rows(ctx, 2), out, mask, lengths, sink)
        past = maximum(parts.key.shape[2] - parts.query.shape[2], 0) if self.cached else 0
        _emit(
            ctx,
            parts,
            self.scale,
            left=self.window - 1 if self.window > 0 else None,
            right=0 if self.causal else None,
            past=past,
            softcap=self.softcap,
            zero_masked=bool(self.zero_masked),
            clamped=True,
        )


@op("Attention")
class Attention(Anchor):
    """Scaled dot-product attention with grouped heads, masks and a key-value cache (ONNX 23 and later).

    Lowered but for score outputs; a row that sees no key gives 0.
    """

    is_causal: int = 0
    kv_num_heads: int | None = None
    left_window_size: int = -1
    q_num_heads: int | None = None
    qk_matmul_output_mode: int = 0
    right_window_size: int = -1
    scale: float | None = None
    softcap: float = 0.0
    softmax_precision: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        q, k, v = (ctx.input(index) for index in range(3))
        shapes = [
            self._four(ctx, info, heads)
            for info, heads in ((q, self.q_num_heads), (k, self.kv_num_heads), (v, self.kv_num_heads))
        ]
        past = [ctx.optional(4), ctx.optional(5)]
        unknown = any(shape is None for shape in shapes) or any(p is not None and p.shape is None for p in past)
        if unknown or q.shape is None:
            return tuple(TensorInfo(info.dtype, None) for info in (q, k, v, q)[: ctx.outputs])
        full_q, full_k, full_v = (shape or () for shape in shapes)
        _check_sizes(ctx, full_q, full_k, full_v)
        for p in past:
            if p is not None and len(p.shape or ()) != 4:
                ctx.fail(f"the cache must have 4 dimensions, got shape {list(p.shape or ())}")
        before = [p.shape[2] if p is not None and p.shape is not None else 0 for p in past]
        key = (*full_k[:2], before[0] + full_k[2], full_k[3])
        value = (*full_v[:2], before[1] + full_v[2], full_v[3])
        for new, old in zip((full_k, full_v), past, strict=True):
            cached = old.shape if old is not None and old.shape is not None else new
            for axis in (0, 1, 3):
                have, want = cached[axis], new[axis]
                ctx.require_equal(have, want, f"dimension {axis} of the cache is {have}, of what is added {want}")
        ctx.require_equal(before[0], before[1], f"the cache has {before[0]} keys and {before[1]} values")
        _check_mask(ctx, (*full_q[:3], key[2]))
        self._check_lengths(ctx, full_q[0])
        y = (*full_q[:3], full_v[3])
        if len(q.shape) == 3:
            y = (full_q[0], full_q[2], full_q[1] * full_v[3])
        infos = (
            TensorInfo(q.dtype, y),
            TensorInfo(k.dtype, key),
            TensorInfo(v.dtype, value),
            TensorInfo(q.dtype, (*full_q[:3], key[2])),
        )
        return infos[: ctx.outputs]

    @staticmethod
    def _check_lengths(ctx: InferContext, batch: Dim) -> None:
        lengths = ctx.optional(6)
        if lengths is None or lengths.shape is None:
            return
        if ctx.optional(4) is not None:
            ctx.fail("nonpad_kv_seqlen cannot be used together with past_key")
        message = f"nonpad_kv_seqlen must have shape [{batch}], got {[*map(str, lengths.shape)]}"
        if len(lengths.shape) != 1:
            ctx.fail(message)
        ctx.require_equal(lengths.shape[0], batch, message)

    def _four(self, ctx: InferContext, info: TensorInfo, heads: int | None) -> tuple[Dim, ...] | None:
        """The shape of an input as (batch, heads, rows, elements)."""
        if info.shape is None or len(info.shape) == 4:
            return info.shape
        if len(info.shape) != 3:
            ctx.fail(f"its inputs must have 3 or 4 dimensions, got shape {list(info.shape)}")
        if not heads or heads < 1:
            ctx.fail("inputs of 3 dimensions need the attributes q_num_heads and kv_num_heads")
        batch, rows, elements = info.shape
        if isinstance(elements, int) and elements % heads:
            ctx.fail(f"{elements} elements cannot be split into {heads} heads")
        return (batch, heads, rows, elements // heads)

    def lowers(self, ctx: InferContext) -> bool:
        known = [info for info in ctx.inputs if info is not None]
        if (
            any(info.shape is None for info in known)
            or ctx.outputs > 3
            or self.softmax_precision == dtypes.float64.onnx
        ):
            return False
        q, k, v = (ctx.input(index) for index in range(3))
        head, width = self._four(ctx, q, self.q_num_heads), self._four(ctx, v, self.kv_num_heads)
        if head is None or width is None or not fits_kernel(q.dtype, width[3]) or not q.dtype == k.dtype == v.dtype:
            return False
        if (ctx.optional(4) is None) != (ctx.optional(5) is None):
            return False
        return (self.scale is not None or isinstance(head[3], int)) and self._mask_fits(ctx)

    def _mask_fits(self, ctx: InferContext) -> bool:
        mask = ctx.optional(3)
        if mask is None:
            return True
        past, keys = ctx.optional(4), ctx.input(1).shape or ()
        before = 0 if past is None or past.shape is None else past.shape[2]
        shape = mask.shape or ()
        return 1 <= len(shape) <= 4 and known_equal(shape[-1], before + keys[-2])

    def lower(self, ctx: LowerContext) -> None:
        q = _split_heads(_rows(ctx, 0), self.q_num_heads)
        k = _split_heads(_rows(ctx, 1), self.kv_num_heads)
        v = _split_heads(_rows(ctx, 2), self.kv_num_heads)
        past: Dim = 0
        if ctx.infer.optional(4) is not None:
            past = ctx.input(4).shape[2]
        k, v = (_with_past(ctx, new, index) for index, new in ((1, k), (2, v)))
        out = _split_heads(ctx.output(0), self.q_num_heads)
        mask = None if ctx.infer.optional(3) is None else ctx.input(3)
        lengths = None if ctx.infer.optional(6) is None else ctx.contiguous(6)
        depth = q.shape[3]
        scale = self.scale if self.scale is not None else 1 / math.sqrt(depth) if isinstance(depth, int) else 1.0
        right = self.right_window_size if self.right_window_size >= 0 else None
        _emit(
            ctx,
            _Parts(q, k, v, out, mask, lengths),
            scale,
            left=self.left_window_size if self.left_window_size >= 0 else None,
            right=0 if self.is_causal else right,
            past=past,
            softcap=self.softcap,
            zero_masked=True,
        )


def _split_heads(operand: Operand, heads: int | None) -> Operand:
    """(batch, rows, heads * elements) as (batch, heads, rows, elements); four dimensions as they are."""
    if operand.rank == 4:
        return operand
    assert heads is not None
    (batch, rows, elements), (b, r, e) = operand.shape, operand.strides
    each = elements // heads
    return replace(operand, shape=(batch, heads, rows, each), strides=(b, each * e, r, e))


def _with_past(ctx: LowerContext, new: Operand, index: int) -> Operand:
    """Keys (index 1) or values (2) behind those of the cache, in the output for them where it exists."""
    cached = ctx.infer.optional(index + 3) is not None
    wanted = len(ctx.outputs) > index
    if not cached and not wanted:
        return new
    past = ctx.input(index + 3) if cached else None
    before: Dim = 0 if past is None else past.shape[2]
    shape = (*new.shape[:2], before + new.shape[2], new.shape[3])
    if wanted:
        whole = ctx.output(index)
    else:
        whole = replace(ctx.scratch(new.dtype, product(shape)), shape=shape, strides=row_major(shape))
    if past is not None:
        ctx.copy(past, replace(whole, shape=past.shape))
    ctx.copy(new, replace(whole, shape=new.shape, offset=whole.offset + before * whole.strides[2]))
    return whole
