"""Reductions, normalisations, products, convolutions, pools and recurrent layers."""

from __future__ import annotations

import numpy as np

from fuzz.graphs.elementwise import FLOATY, NUMBERS
from fuzz.graphs.tracks import Value
from fuzz.graphs.writer import Writer, step

ROUGH = [
    "ReduceSum",
    "ReduceMean",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceSumSquare",
]


@step(3, calm=True)
def reduce(w: Writer) -> bool:
    op_type = w.choose([*ROUGH, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
    value = w.tensor(NUMBERS if op_type in ("ReduceMax", "ReduceMin") else (*FLOATY, np.int32, np.int64))
    exact = op_type in ("ReduceMax", "ReduceMin")
    axes = (
        sorted({w.integer(-value.rank, value.rank - 1) % value.rank for _ in range(w.integer(1, 3))})
        if value.rank
        else []
    )
    axes = [a - value.rank if w.chance(0.3) else a for a in axes]
    extra: dict[str, object] = {"keepdims": w.integer(0, 1)} if w.chance(0.8) else {}
    if w.chance(0.15) or not axes:
        return w.propose(op_type, [value.name], exact=exact, **extra)
    if w.opset >= 18 or op_type == "ReduceSum":
        return w.propose(op_type, [value.name, w.constant(axes)], exact=exact, **extra)
    return w.propose(op_type, [value.name], exact=exact, axes=axes, **extra)


@step(1)
def arg_extreme(w: Writer) -> bool:
    value = w.tensor(NUMBERS, 1)
    axis, keep = w.integer(-value.rank, value.rank - 1), w.integer(0, 1)
    extra = {"select_last_index": 1} if w.chance(0.2) else {}
    return w.propose(w.choose(["ArgMax", "ArgMin"]), [value.name], exact=True, axis=axis, keepdims=keep, **extra)


@step(1)
def top(w: Writer) -> bool:
    value = w.tensor((*FLOATY, np.int32, np.int64), 1)
    axis = w.integer(0, value.rank - 1)
    if value.smallest[axis] < 1:
        return False
    count = w.constant([w.integer(1, value.smallest[axis])])
    return w.propose("TopK", [value.name, count], exact=True, outputs=2, axis=axis, largest=w.integer(0, 1))


@step(1)
def cumulative(w: Writer) -> bool:
    value = w.tensor((*FLOATY, np.int32, np.int64), 1)
    axis = w.constant(np.array(w.integer(-value.rank, value.rank - 1)))
    return w.propose("CumSum", [value.name, axis], exclusive=w.integer(0, 1), reverse=w.integer(0, 1))


@step(2, calm=True)
def softmax(w: Writer) -> bool:
    value = w.tensor(FLOATY, 1)
    return w.propose(
        w.choose(["Softmax", "Softmax", "LogSoftmax"]), [value.name], axis=w.integer(-value.rank, value.rank - 1)
    )


@step(0.3)
def hardmax(w: Writer) -> bool:
    value = w.tensor(FLOATY, 1)
    return w.propose("Hardmax", [value.name], exact=True, axis=w.integer(-value.rank, value.rank - 1))


@step(1.5, calm=True)
def norm(w: Writer) -> bool:
    choice = w.integer(0, 5)
    value = w.tensor(FLOATY, 2 if choice < 2 else 3, 5)
    channels = value.shape[1]
    if choice == 0:
        axis = w.integer(1, value.rank - 1)
        sizes = value.shape[axis:]
        if None in sizes:
            return False
        operands = [w.constant(w.draw(value.dtype, sizes)) for _ in range(w.integer(1, 2))]
        op_type = "LayerNormalization" if w.opset < 23 or w.chance(0.5) else "RMSNormalization"
        return w.propose(op_type, [value.name, *operands[: 1 if op_type[0] == "R" else 2]], axis=axis, epsilon=0.01)
    if choice == 1:
        return w.propose("LpNormalization", [value.name], axis=w.integer(0, value.rank - 1), p=w.integer(1, 2))
    if channels is None:
        return False
    pair = [w.constant(w.draw(value.dtype, [channels]), given=0.05) for _ in range(2)]
    if choice == 2:
        return w.propose("InstanceNormalization", [value.name, *pair], epsilon=0.01)
    if choice == 3:
        groups = w.choose([g for g in (1, 2, 3, 4) if channels % g == 0])
        return w.propose("GroupNormalization", [value.name, *pair], epsilon=0.01, num_groups=groups)
    if choice == 4:
        return w.propose("LRN", [value.name], size=w.choose([1, 3, 5]), alpha=0.125, beta=0.75, bias=1.5)
    spread = [
        w.constant(w.draw(value.dtype, [channels])),
        w.constant(w.rng.uniform(0.5, 2, channels).astype(value.dtype)),
    ]
    return w.propose("BatchNormalization", [value.name, *pair, *spread], epsilon=0.01)


def weights(w: Writer, value: Value, shape: list[int]) -> str:
    scaled = w.draw(value.dtype, shape) / max(1, np.sqrt(np.prod(shape[1:]) / 2))
    return w.constant(scaled.astype(value.dtype), given=0.1)


@step(2.5, calm=True)
def matmul(w: Writer) -> bool:
    value = w.tensor((*FLOATY, np.int32, np.int64), 1)
    inner = value.shape[-1]
    choice = w.integer(0, 3)
    if choice == 0 and value.rank > 1:  # with its own transpose, of variable sizes
        perm = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
        if not w.propose("Transpose", [value.name], exact=True, perm=perm):
            return False
        pair = [value.name, w.nodes[-1].output[0]]
        w.propose("MatMul", pair if w.chance(0.5) else pair[::-1])
        return True
    if choice == 1:
        other = w.pick(lambda v: v.dtype == value.dtype and v.rank > 0)
        if other is not None and w.propose("MatMul", [value.name, other.name]):
            return True
    if inner is None:
        return False
    shape = w.choose([[inner], [inner, w.choose([1, 2, 7, 16, 20])], [inner, 5]])
    batch = [w.choose([1, size]) for size in value.shape[:-2] if size is not None] if w.chance(0.3) else []
    shape = batch + shape if len(shape) == 2 else shape
    other = w.constant(w.draw(value.dtype, shape), given=0.1) if value.dtype.kind == "i" else weights(w, value, shape)
    return w.propose("MatMul", [value.name, other])


@step(1)
def gemm(w: Writer) -> bool:
    value = w.tensor(FLOATY, 2, 2)
    flip, turned = w.integer(0, 1), w.integer(0, 1)
    inner, rows, columns = value.shape[0 if flip else 1], value.shape[1 if flip else 0], w.choose([1, 3, 8, 20])
    if inner is None:
        return False
    operands = [value.name, weights(w, value, [columns, inner] if turned else [inner, columns])]
    if w.chance(0.7):
        shape = w.choose([[], [1], [columns], [1, columns], [rows or 1, 1], [rows or 1, columns]])
        operands.append(w.constant(w.draw(value.dtype, shape)))
    extra = {"alpha": w.choose([0.5, 2.0])} if w.chance(0.3) else {}
    return w.propose("Gemm", operands, transA=flip, transB=turned, **extra)


@step(1)
def einsum(w: Writer) -> bool:
    value = w.tensor(FLOATY, 2, 3)
    if 0 in value.smallest:
        return False  # ONNX Runtime ends the process
    if value.rank == 2:
        if value.shape[1] is None or w.chance(0.4):
            return w.propose("Einsum", [value.name], equation=w.choose(["ij->ji", "ij->i", "ij->", "ij->j"]))
        other = weights(w, value, [value.shape[1], 6])
        return w.propose(
            "Einsum",
            [value.name, other],
            equation=w.choose(["ij,jk->ik", "ij,jk->ki", "ij,jk", "ij,jk->ijk", "...j,jk->...k"]),
        )
    equation = w.choose(["bij,bkj->bik", "bij,bij->bi", "bij,bij->ij", "bij,bij->", "bij,bkj->bki", "bij,bil->bjl"])
    return w.propose("Einsum", [value.name, value.name], equation=equation)


def image(w: Writer) -> tuple[Value, int]:
    """A float tensor (N, C, spatial...) of 1 to 3 spatial axes."""
    value = w.pick(lambda v: v.is_float and 3 <= v.rank <= 5 and v.shape[1] is not None and 0 < v.shape[1] <= 20)
    if value is None or w.chance(0.25):
        spatial = w.choose([1, 2, 2, 2, 3])
        sizes: list[int | str] = [w.choose([3, 4, 5, 7, 8] if spatial > 1 else [5, 9, 16]) for _ in range(spatial)]
        if w.chance(0.25):
            sizes[-1] = "t"
        value = w.input(
            w.choose([np.float32] * 5 + [np.float64, np.float16]),
            (w.choose(["n", 1, 2]), w.choose([1, 2, 3, 4, 8, 16]), *sizes),
        )
    return value, value.rank - 2


def window(w: Writer, spatial: int, value: Value) -> dict[str, object]:
    kernel = [min(w.choose([1, 2, 3, 3]), max(size, 1)) for size in value.smallest[2:]]
    extra: dict[str, object] = {"kernel_shape": kernel}
    if w.chance(0.5):
        extra["strides"] = [w.integer(1, 3) for _ in range(spatial)]
    if w.chance(0.6):
        extra["pads"] = [min(w.integer(0, 2), k - 1) for k in kernel * 2]
    elif w.chance(0.3):
        extra["auto_pad"] = w.choose(["SAME_UPPER", "SAME_LOWER", "VALID"])
        # with windows further apart than they are wide, the oracles differ from themselves from operator to operator
        extra["strides"] = [w.integer(1, k) for k in kernel]
    return extra


@step(2.5)
def convolution(w: Writer) -> bool:
    value, spatial = image(w)
    channels = int(value.shape[1] or 1)
    extra = window(w, spatial, value)
    kernel = extra["kernel_shape"]
    groups = w.choose([1, 1, 1, channels, *(g for g in (2, 4) if channels % g == 0)])
    if w.chance(0.2):
        extra["dilations"] = [w.integer(1, 2) for _ in range(spatial)]
    turned = w.chance(0.25)
    outs = groups * w.choose([1, 2, 3] if groups > 1 else [1, 3, 8, 17])
    shape = [channels, outs // groups, *kernel] if turned else [outs, channels // groups, *kernel]  # type: ignore[misc]
    operands = [value.name, weights(w, value, shape)]
    if w.chance(0.6):
        operands.append(w.constant(w.draw(value.dtype, [outs]), given=0.05))
    if w.chance(0.3):
        extra.pop("kernel_shape")
    return w.propose("ConvTranspose" if turned else "Conv", operands, group=groups, **extra)


@step(1.5)
def pool(w: Writer) -> bool:
    value, spatial = image(w)
    extra = window(w, spatial, value)
    if w.chance(0.3) and "auto_pad" not in extra:
        extra["ceil_mode"] = 1
    choice = w.integer(0, 4)
    if choice == 0:
        return w.propose(w.choose(["GlobalAveragePool", "GlobalMaxPool"]), [value.name])
    if choice == 1:
        return w.propose("AveragePool", [value.name], count_include_pad=w.integer(0, 1), **extra)
    if choice == 2:
        return w.propose(
            "LpPool", [value.name], **{k: v for k, v in extra.items() if k != "ceil_mode" or w.opset >= 18}
        )
    if choice == 3 and w.chance(0.5):
        return w.propose("MaxPool", [value.name], exact=True, outputs=2, **extra)
    return w.propose("MaxPool", [value.name], exact=True, **extra)


@step(0.8)
def recurrent(w: Writer) -> bool:
    value = w.pick(lambda v: v.dtype == np.float32 and v.rank == 3 and v.shape[2] is not None and v.smallest[0] < 12)
    if value is None or w.chance(0.3):
        value = w.input(np.float32, (w.choose(["t", 1, 4]), w.choose(["n", 1, 2]), w.choose([1, 3, 4, 8])))
    if 0 in value.smallest:
        return False  # ONNX Runtime ends the process
    op_type = w.choose(["LSTM", "GRU", "RNN"])
    gates, hidden = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type], w.choose([1, 3, 4, 8])
    direction = w.choose(["forward", "forward", "reverse", "bidirectional"])
    ways = 2 if direction == "bidirectional" else 1
    width = int(value.shape[2] or 1)
    operands = [value.name, *(weights(w, value, [ways, gates * hidden, k]) for k in (width, hidden))]
    if w.chance(0.7):
        operands.append(w.constant(w.draw(np.float32, [ways, 2 * gates * hidden])))
    extra = {"linear_before_reset": w.integer(0, 1)} if op_type == "GRU" else {}
    outputs = w.choose([[True, True], [True], [False, True]] + ([[True, True, True]] if op_type == "LSTM" else []))
    return w.propose(op_type, operands, outputs=outputs, hidden_size=hidden, direction=direction, **extra)


@step(0.7)
def integer_product(w: Writer) -> bool:
    value = w.tensor([np.uint8, np.int8], 2, 3)
    inner = value.shape[-1]
    if inner is None:
        return False
    columns = w.choose([1, 4, 17])
    if w.chance(0.5):
        operands = [value.name, w.constant(w.draw(w.choose([np.int8, np.uint8]), [inner, columns]))]
        if w.chance(0.5):
            operands.append(w.constant(np.array(3, value.dtype)))
        return w.propose("MatMulInteger", operands)
    dtype = np.dtype(w.choose([np.int8, value.dtype]))
    pair = [w.constant(np.array(0.0625, np.float32)), w.constant(np.array(2, value.dtype))]
    other = [
        w.constant(w.draw(dtype, [inner, columns])),
        w.constant(np.array(0.03125, np.float32)),
        w.constant(np.array(0, dtype)),
    ]
    result = [w.constant(np.array(1.5, np.float32)), w.constant(np.array(5, value.dtype))]
    return w.propose("QLinearMatMul", [value.name, *pair, *other, *result])
