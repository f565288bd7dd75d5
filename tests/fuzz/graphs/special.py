"""Rarer operators: quantised convolutions, sampling, attention, losses, sequences."""

from __future__ import annotations

import numpy as np
from onnx import helper

from fuzz.graphs.elementwise import ALL, FLOATY
from fuzz.graphs.moving import MOVED
from fuzz.graphs.tracks import Value
from fuzz.graphs.writer import Writer, step

F = np.float32


@step(0.7)
def integer_convolution(w: Writer) -> bool:
    dtype = np.dtype(w.choose([np.uint8, np.uint8, np.int8]))
    value = w.pick(lambda v: v.dtype == dtype and v.rank == 4 and v.shape[1] is not None and 0 < v.shape[1] <= 16)
    if value is None or w.chance(0.3):
        value = w.input(dtype, (w.choose(["n", 1]), w.choose([1, 3, 4, 8]), w.choose([3, 5, 8]), w.choose([4, 7, "t"])))
    groups = w.choose([1, 1, int(value.shape[1] or 1)])
    outs = groups * w.choose([1, 2, 4])
    kernel = [min(w.integer(1, 3), max(size, 1)) for size in value.smallest[2:]]
    kind = np.dtype(w.choose([np.int8, dtype]))
    other = w.constant(w.draw(kind, [outs, int(value.shape[1] or 1) // groups, *kernel]), given=0.05)
    extra = {"group": groups, "pads": [k // 2 for k in kernel] * 2, "strides": [w.integer(1, 2) for _ in kernel]}
    zero = w.constant(np.array(w.integer(0, 9), dtype))
    other_zero = w.constant(np.array(0 if kind == np.int8 else 7, kind))
    if w.chance(0.4):
        return w.propose("ConvInteger", [value.name, other, *w.choose([[], [zero], [zero, other_zero]])], **extra)
    scales = [w.constant(np.array(s, F)) for s in (0.0625, 0.03125, w.choose([0.5, 1.5]))]
    operands = [value.name, scales[0], zero, other, scales[1], other_zero, scales[2], zero]
    if w.chance(0.5):
        operands.append(w.constant(w.rng.integers(-900, 900, outs).astype(np.int32)))
    return w.propose("QLinearConv", operands, **extra)


@step(0.7)
def sample(w: Writer) -> bool:
    value = w.tensor([F], 4, 4)
    grid = w.constant(w.rng.uniform(-1.1, 1.1, (1, w.integer(1, 5), w.integer(1, 5), 2)).astype(F), given=0.3)
    if value.shape[0] != 1:
        value = w.input(F, (1, *w.dims(1), w.choose([3, 4, "t"]), w.choose([2, 5])))
    modes = ("linear", "nearest", "cubic") if w.opset >= 20 else ("bilinear", "nearest", "bicubic")
    extra = {"mode": w.choose(modes), "padding_mode": w.choose(["zeros", "border", "reflection"])}
    return w.propose("GridSample", [value.name, grid], align_corners=w.integer(0, 1), **extra)


@step(0.7)
def attention(w: Writer) -> bool:
    if w.opset < 23:
        return False
    heads, length, size = w.choose([1, 2, 3]), w.choose(["t", 4, 7]), w.choose([2, 4, 8])
    query = w.input(F, (w.choose(["n", 2]), heads, length, size))
    other = w.pick(lambda v: v.dtype == F and v.truth[0].shape == query.truth[0].shape and v.shape == query.shape)
    key = other if other is not None and w.chance(0.4) else query
    extra: dict[str, object] = {"is_causal": 1} if w.chance(0.4) else {}
    if w.chance(0.3):
        extra["softcap"] = 2.0
    return w.propose("Attention", [query.name, key.name, query.name], **extra)


@step(0.5)
def small(w: Writer) -> bool:
    """Operators of one line."""
    choice = w.integer(0, 6)
    if choice == 0:
        value = w.tensor([F], 4, 4)
        return w.propose("MeanVarianceNormalization", [value.name])
    if choice == 1:
        value = w.tensor(FLOATY, 2, 2)
        extra = {} if w.chance(0.5) else {"dtype": helper.np_dtype_to_tensor_dtype(np.dtype(w.choose([F, np.int64])))}
        return w.propose("EyeLike", [value.name], exact=True, k=w.integer(-2, 2), **extra)
    if choice == 2:
        value = w.tensor(FLOATY)
        return w.propose("Shrink", [value.name], bias=0.25, lambd=0.5)
    if choice == 3:
        value = w.tensor(MOVED, 1, 4)
        axis = w.integer(0, value.rank - 1)
        return w.opset >= 18 and w.propose(
            "CenterCropPad", [value.name, w.constant([w.integer(1, 9)])], exact=True, axes=[axis]
        )
    if choice == 4:
        value = w.tensor(FLOATY)
        return w.propose("Dropout", [value.name], exact=True, outputs=w.integer(1, 2))
    if choice == 5:
        size = w.choose([1, 2, 3, 4])
        value = w.input(F, ("n", size, size))
        return w.propose("Det", [value.name])
    value = w.tensor([F], 2, 2)
    rows, classes = value.shape
    if rows is None or not classes:
        return False
    labels = w.constant(w.rng.integers(0, classes, rows), given=0.3)
    reduction = w.choose(["mean", "sum", "none"])
    op_type = w.choose(["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"])
    return w.propose(op_type, [value.name, labels], reduction=reduction)


@step(0.4)
def bounds_from_values(w: Writer) -> bool:
    """A slice and a gather at places that are computed from data."""
    value = w.tensor(MOVED, 1, 4)
    axis = w.integer(0, value.rank - 1)
    if value.smallest[axis] == 0:
        return False
    source = w.tensor((F, np.int64), 1, 2, lambda v: v.smallest[-1] > 0)
    if 0 in source.smallest or not w.propose("ArgMax", [source.name], exact=True, axis=source.rank - 1, keepdims=1):
        return False
    found = w.nodes[-1].output[0]
    if w.propose("ReduceMin", [found], exact=True, keepdims=0):
        place = w.nodes[-1].output[0]
        if w.values[place].within(0, value.smallest[axis] - 1):
            if w.chance(0.5):
                w.propose("Gather", [value.name, place], exact=True, axis=axis)
            elif w.propose("Unsqueeze", [place, w.constant([0], given=0)], exact=True):
                last = w.nodes[-1].output[0]
                ends = [w.constant([2**31], given=0), w.constant([axis], given=0)]
                w.propose("Slice", [value.name, last, *ends], exact=True)
    return True


@step(0.4)
def counted(w: Writer) -> bool:
    """What is found in data, and gathered from there."""
    value = w.tensor(ALL, 1, 3)
    if not w.propose("NonZero", [value.name], exact=True):
        return False
    if w.propose("Transpose", [w.nodes[-1].output[0]], exact=True, perm=[1, 0]):
        w.propose("GatherND", [value.name, w.nodes[-1].output[0]], exact=True)
    return True


def halves(value: Value) -> bool:
    return value.shape[-1] is not None and value.shape[-1] % 2 == 0 and value.shape[-1] > 0


@step(0.4)
def rotary(w: Writer) -> bool:
    if w.opset < 23:
        return False
    value = w.tensor([F], 4, 4)
    length, size = value.shape[2], value.shape[3]
    batch = value.shape[0]
    if not halves(value) or length is None or batch is None:
        value = w.input(F, (2, w.integer(1, 3), 5, w.choose([4, 8])))
        batch, length, size = 2, 5, value.shape[3]
    caches = [w.constant(w.draw(F, [batch or 1, length or 1, int(size or 2) // 2])) for _ in range(2)]
    return w.propose("RotaryEmbedding", [value.name, *caches], interleaved=w.integer(0, 1))
