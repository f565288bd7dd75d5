"""Operators that move elements: views, joins, indices; and arithmetic on sizes that feeds them."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from fuzz.graphs.elementwise import ALL, FLOATY, NUMBERS, RARE
from fuzz.graphs.tracks import Array, Value
from fuzz.graphs.writer import Writer, step

MOVED = (*ALL, *ALL, *RARE)


@step(2, calm=True)
def transpose(w: Writer) -> bool:
    value = w.tensor(MOVED, 1)
    perm = [int(p) for p in w.rng.permutation(value.rank)]
    return w.propose("Transpose", [value.name], exact=True, **({} if w.chance(0.2) else {"perm": perm}))


@step(1.5)
def reshape(w: Writer) -> bool:
    value = w.tensor(MOVED)
    shape = value.shape
    choice = w.integer(0, 4)
    if choice == 0:
        return w.propose("Reshape", [value.name, w.constant([-1])], exact=True)
    if choice == 1 and value.rank > 1:  # two axes become one
        k = w.integer(0, value.rank - 2)
        target = [0] * k + [-1] + [size or -2 for size in shape[k + 2 :]]
        return -2 not in target and w.propose("Reshape", [value.name, w.constant(target)], exact=True)
    if choice == 2 and value.rank:  # one axis becomes two
        k = w.integer(0, value.rank - 1)
        factors = [f for f in (1, 2, 3, 4) if (shape[k] or 1) % f == 0 and shape[k]]
        if factors:
            factor = w.choose(factors)
            middle = w.choose([[factor, -1], [-1, factor], [factor, shape[k] // factor]])
            if all(shape[k + 1 :]):
                target = [0] * k + middle + list(shape[k + 1 :])
                return w.propose("Reshape", [value.name, w.constant(target)], exact=True)
        return False
    if choice == 3:
        return w.propose("Flatten", [value.name], exact=True, axis=w.integer(0, value.rank))
    if value.fixed is not None:
        target = [int(s) for s in w.rng.permutation(value.fixed)]
        return w.propose("Reshape", [value.name, w.constant(target)], exact=True)
    return False


@step(1.2)
def squeeze(w: Writer) -> bool:
    value = w.tensor(MOVED, 0, 4)
    if w.chance(0.5):
        places = [k for k, size in enumerate(value.shape) if size == 1]
        if not places:
            return False
        axes = sorted({w.choose(places) for _ in range(2)})
        axes = [a - value.rank if w.chance(0.3) else a for a in axes]
        return w.propose("Squeeze", [value.name, w.constant(axes)], exact=True)
    axis = w.integer(-value.rank - 1, value.rank)
    return w.propose("Unsqueeze", [value.name, w.constant([axis])], exact=True)


@step(2, calm=True)
def slice_(w: Writer) -> bool:
    value = w.tensor(MOVED, 1)
    count = w.integer(1, min(2, value.rank))
    axes = [int(a) for a in w.rng.permutation(value.rank)[:count]]
    starts, ends, steps = [], [], []
    for axis in axes:
        size = value.smallest[axis]
        step_ = w.choose([1, 1, 1, 2, 3, -1, -2])
        low, high = w.integer(0, max(size - 1, 0)), w.choose([size, 10000, -1, w.integer(0, size)])
        if step_ < 0:
            low, high = w.choose([10000, -1, low]), w.choose([-10000, 0])
        starts.append(low - size if w.chance(0.2) and 0 <= low < size else low)
        ends.append(high)
        steps.append(step_)
    axes = [a - value.rank if w.chance(0.2) else a for a in axes]
    dtype = w.choose([np.int64, np.int64, np.int32])
    operands = [w.constant(np.array(part, dtype)) for part in (starts, ends, axes, steps)]
    if steps == [1] * count and w.chance(0.3):
        operands = operands[:3]
    return w.propose("Slice", [value.name, *operands], exact=True)


@step(1.5, calm=True)
def concat(w: Writer) -> bool:
    value = w.tensor(MOVED, 1)
    axis = w.integer(0, value.rank - 1)
    parts = [value.name]
    for _ in range(w.integer(1, 3)):
        other = w.pick(lambda v: v.dtype == value.dtype and v.rank == value.rank and joins(value, v, axis))
        fixed = [size for k, size in enumerate(value.shape) if k != axis]
        if other is not None and w.chance(0.6):
            parts.append(other.name)
        elif None not in fixed:
            shape = [w.integer(0, 3) if k == axis else int(size or 0) for k, size in enumerate(value.shape)]
            parts.append(w.constant(w.draw(value.dtype, shape), given=0.05))
        else:
            parts.append(value.name)
    w.rng.shuffle(parts)
    return w.propose("Concat", parts, exact=True, axis=axis - value.rank if w.chance(0.3) else axis)


def joins(value: Value, other: Value, axis: int) -> bool:
    pairs = zip(value.truth, other.truth, strict=True)
    return all(a.shape[:axis] + a.shape[axis + 1 :] == b.shape[:axis] + b.shape[axis + 1 :] for a, b in pairs)


@step(1.2)
def split(w: Writer) -> bool:
    value = w.tensor(MOVED, 1)
    axis = w.integer(0, value.rank - 1)
    size = value.shape[axis]
    if size is None or size < 2:
        return False
    first = w.integer(0, size)
    if w.chance(0.6):
        operand = w.constant([first, size - first])
        return w.propose("Split", [value.name, operand], exact=True, outputs=2, axis=axis)
    count = w.integer(2, min(3, size))
    extra = {"num_outputs": count} if w.opset >= 18 else {}
    return w.propose("Split", [value.name], exact=True, outputs=count, axis=axis, **extra)


@step(1.5)
def pad(w: Writer) -> bool:
    value = w.tensor(NUMBERS, 1)
    mode = w.choose(["constant", "constant", "edge", "reflect"])
    pads = np.zeros((2, value.rank), np.int64)
    for axis in w.rng.permutation(value.rank)[:2]:
        top = 3 if mode != "reflect" else min(2, max(value.smallest[axis] - 1, 0))
        pads[:, axis] = w.rng.integers(-1 if mode == "constant" and value.smallest[axis] > 2 else 0, top + 1, 2)
    operands = [value.name, w.constant(pads.reshape(-1))]
    if mode == "constant" and w.chance(0.6):
        operands.append(w.constant(np.array(w.integer(0, 3), value.dtype)))
    return w.propose("Pad", operands, exact=True, **({"mode": mode} if mode != "constant" else {}))


@step(1)
def expand(w: Writer) -> bool:
    value = w.tensor(MOVED, 0, 4)
    if w.chance(0.4):
        repeats = w.constant([w.choose([1, 1, 2, 3]) for _ in range(value.rank)])
        return value.rank > 0 and w.propose("Tile", [value.name, repeats], exact=True)
    shape = [w.integer(2, 5) if size == 1 and w.chance(0.7) else (size or 1) for size in value.shape]
    shape = [w.integer(1, 3)] * w.integer(0, 1) + [1 if w.chance(0.2) else size for size in shape]
    return w.propose("Expand", [value.name, w.constant(shape)], exact=True)


@step(0.7)
def depth(w: Writer) -> bool:
    value = w.tensor(FLOATY, 4, 4)
    channels, height, width = value.shape[1:]
    if w.chance(0.5):
        block = w.choose([2, 3])
        if channels is None or channels % block**2:
            value = w.input(np.float32, ("n", w.integer(1, 3) * block**2, *w.dims(2)))
        mode = w.choose(["DCR", "CRD"])
        return w.propose("DepthToSpace", [value.name], exact=True, blocksize=block, mode=mode)
    if height is None or width is None or height % 2 or width % 2:
        value = w.input(np.float32, ("n", w.integer(1, 5), 2 * w.integer(1, 4), 2 * w.integer(1, 4)))
    return w.propose("SpaceToDepth", [value.name], exact=True, blocksize=2)


@step(1)
def resize(w: Writer) -> bool:
    value = w.tensor([np.float32], 3, 5)
    mode = w.choose(["nearest", "linear", "linear", "cubic"])
    frame = w.choose(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    spatial = 2 if mode == "cubic" else min(value.rank - 2, 2)
    scales = np.ones(value.rank, np.float32)
    scales[value.rank - spatial :] = [w.choose([0.5, 1, 2, 3, 1.5]) for _ in range(spatial)]
    extra: dict[str, object] = {"mode": mode, "coordinate_transformation_mode": frame}
    if mode == "nearest":
        extra["nearest_mode"] = w.choose(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if value.fixed is not None and w.chance(0.5):
        sizes = [int(s) if k < value.rank - spatial else w.integer(1, 9) for k, s in enumerate(value.fixed)]
        return w.propose("Resize", [value.name, "", "", w.constant(sizes)], **extra)
    return w.propose("Resize", [value.name, "", w.constant(scales)], **extra)


def indices(w: Writer, shape: list[int], size: int, dtypes: tuple = (np.int64, np.int64, np.int32)) -> Array:
    low = -size if w.chance(0.3) else 0
    return np.asarray(w.rng.integers(low, size, shape), w.choose(dtypes))


@step(1.5)
def gather(w: Writer) -> bool:
    value = w.tensor(MOVED, 1)
    axis = w.integer(0, value.rank - 1)
    size = value.smallest[axis]
    if size == 0:
        return False
    named = w.pick(lambda v: v.dtype in (np.int32, np.int64) and v.rank <= 2 and v.within(-size, size - 1))
    if named is not None and w.chance(0.5):
        return w.propose("Gather", [value.name, named.name], exact=True, axis=axis)
    shape = [w.integer(1, 4) for _ in range(w.integer(0, 2))]
    return w.propose("Gather", [value.name, w.constant(indices(w, shape, size))], exact=True, axis=axis)


@step(1)
def gather_elements(w: Writer) -> bool:
    value = w.tensor(MOVED, 1, 4)
    axis = w.integer(0, value.rank - 1)
    if 0 in value.smallest:
        return False
    shape = [w.integer(1, size) if k == axis or w.chance(0.2) else size for k, size in enumerate(value.smallest)]
    return w.propose(
        "GatherElements", [value.name, w.constant(indices(w, shape, value.smallest[axis]))], exact=True, axis=axis
    )


@step(1)
def gather_nd(w: Writer) -> bool:
    value = w.tensor(MOVED, 1, 4)
    depth_ = w.integer(1, value.rank)
    if 0 in value.smallest:
        return False
    rows = [w.integer(1, 4) for _ in range(w.integer(0, 2))]
    made = np.stack([indices(w, rows, value.smallest[k], (np.int64,)) for k in range(depth_)], -1)
    return w.propose("GatherND", [value.name, w.constant(made)], exact=True)


@step(1.2)
def scatter(w: Writer) -> bool:
    value = w.tensor((*FLOATY, np.int32, np.int64), 1, 4)
    if 0 in value.smallest:
        return False
    reduction = w.choose(["none", "none", "add", "mul", "max", "min"] if w.opset >= 18 else ["none", "add", "mul"])
    extra = {} if reduction == "none" else {"reduction": reduction}
    if w.chance(0.5):
        axis = w.integer(0, value.rank - 1)
        shape = [w.integer(1, size) for size in value.smallest]
        made = indices(w, shape, value.smallest[axis])
        if reduction == "none":  # the last of two writers is anybody's guess
            places = np.arange(value.smallest[axis])
            order = w.rng.permuted(np.broadcast_to(places, [*shape[:axis], *shape[axis + 1 :], len(places)]), axis=-1)
            made = np.moveaxis(order[..., : shape[axis]], -1, axis).astype(np.int64)
        updates = w.constant(w.draw(value.dtype, shape))
        operands = [value.name, w.constant(made), updates]
        return w.propose("ScatterElements", operands, exact=reduction == "none", axis=axis, **extra)
    depth_ = w.integer(1, value.rank)
    if any(size is None for size in value.shape[depth_:]):
        return False
    count = int(np.prod(value.smallest[:depth_]))
    rows = w.integer(1, min(4, count))
    flat = w.rng.permutation(count)[:rows]
    made = np.stack(np.unravel_index(flat, value.smallest[:depth_]), -1).astype(np.int64)
    updates = w.constant(w.draw(value.dtype, [rows, *(int(s or 0) for s in value.shape[depth_:])]))
    return w.propose(
        "ScatterND",
        [value.name, w.constant(made), updates],
        exact=reduction == "none",
        **extra,
    )


@step(0.8)
def shape_of(w: Writer) -> bool:
    value = w.tensor(MOVED, 0, 5)
    if w.chance(0.25):
        return w.propose("Size", [value.name], exact=True)
    extra = {"start": w.integer(0, max(value.rank - 1, 0))} if w.chance(0.3) else {}
    return w.propose("Shape", [value.name], exact=True, **extra)


@step(1.2)
def reshape_by_shape(w: Writer) -> bool:
    """The sizes of one value, some of them changed by arithmetic, as the shape of another operator."""
    value = w.tensor(MOVED, 1, 4)
    if not w.propose("Shape", [value.name], exact=True):
        return False
    shape = w.nodes[-1].output[0]
    choice = w.integer(0, 4)
    if choice == 0:
        other = w.pick(lambda v: all(fits(a, b) for a, b in zip(v.truth, value.truth, strict=True)))
        return other is None or w.propose("Expand", [other.name, shape], exact=True) or True
    if choice == 1:
        other = w.pick(lambda v: all(a.size == b.size for a, b in zip(v.truth, value.truth, strict=True)))
        return other is None or w.propose("Reshape", [other.name, shape], exact=True) or True
    if choice == 2:
        filling = numpy_helper.from_array(w.draw(w.choose(ALL), [1]))
        return w.propose("ConstantOfShape", [shape], exact=True, value=filling) or True
    axis = w.integer(0, value.rank - 1)
    if w.propose("Gather", [shape, w.constant([axis], given=0)], exact=True):
        size = w.nodes[-1].output[0]
        if choice == 4:
            if w.propose("Concat", [size, w.constant([-1], given=0)], exact=True, axis=0):
                w.propose("Reshape", [value.name, w.nodes[-1].output[0]], exact=True)
        elif w.propose(w.choose(["Div", "Sub"]), [size, w.constant([2], given=0)]):
            bounds = [w.constant([0], given=0), w.nodes[-1].output[0], w.constant([axis], given=0)]
            w.propose("Slice", [value.name, *bounds], exact=True)
    return True


def fits(array: Array, other: Array) -> bool:
    """Whether the array can be expanded to the other's shape."""
    try:
        return np.broadcast_shapes(array.shape, other.shape) == other.shape
    except ValueError:
        return False


@step(0.6)
def triangle(w: Writer) -> bool:
    value = w.tensor((*FLOATY, np.int32, np.int64, np.bool_), 2, 4)
    operands = [value.name, *([w.constant(np.array(w.integer(-2, 2)))] if w.chance(0.6) else [])]
    return w.propose("Trilu", operands, exact=True, upper=w.integer(0, 1))


@step(0.5)
def range_(w: Writer) -> bool:
    limit = w.pick(lambda v: v.dtype == np.int64 and v.rank == 0 and v.within(0, 60))
    if limit is None and w.chance(0.5):
        limit = w.input(np.int64, ())
    end = limit.name if limit else w.constant(np.array(w.integer(1, 12)), given=0.3)
    return w.propose("Range", [w.constant(np.array(0)), end, w.constant(np.array(w.choose([1, 2])))], exact=True)


@step(0.5)
def one_hot(w: Writer) -> bool:
    value = w.tensor((np.int64, np.int32), 0, 3)
    dtype = w.choose((np.float32, np.int64))
    pair = w.constant(np.array([0, 1], dtype))
    return w.propose(
        "OneHot", [value.name, w.constant(np.array(w.integer(1, 7))), pair], exact=True, axis=w.integer(-1, value.rank)
    )


@step(0.7)
def found(w: Writer) -> bool:
    """Operators whose results' sizes depend on data. Both variants must agree on the rank only."""
    choice = w.integer(0, 2)
    if choice == 0:
        return w.propose("NonZero", [w.tensor(ALL, 1, 3).name], exact=True)
    value = w.tensor(MOVED if choice == 1 else NUMBERS, 1, 3)
    if choice == 1:
        axis = w.integer(0, value.rank - 1)
        mask = w.constant(w.rng.random(max(value.smallest[axis], 1)) < 0.6)
        return w.propose("Compress", [value.name, mask], exact=True, axis=axis)
    count = w.integer(1, 4)
    return w.propose("Unique", [value.name], exact=True, outputs=count, sorted=1)


@step(0.3)
def reverse_sequence(w: Writer) -> bool:
    value = w.tensor(MOVED, 2, 4)
    batch = value.shape[0]
    if batch is None or not value.smallest[1]:
        return False
    lengths = w.constant(w.rng.integers(1, value.smallest[1] + 1, batch))
    return w.propose("ReverseSequence", [value.name, lengths], exact=True, batch_axis=0, time_axis=1)
