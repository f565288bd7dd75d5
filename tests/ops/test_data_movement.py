"""Shape and data-movement operators against onnx's reference implementation: sizes, contents, errors and results."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cases import Case, floats, i64
from ops.data_movement_cases import CASES, IDS
from ops.run_record import run_record
from sardonyx import dtypes
from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, Indexed, InferContext, Read, View
from sardonyx.ops.registry import decode
from sardonyx.ops.slice import slice_range
from sardonyx.symbols import evaluate, free_symbols, symbol, to_text

f32 = np.float32


def context(case: Case, *, known: bool = False) -> tuple[InferContext, dict[str, int], list[tuple]]:
    """The infos of a case, the sizes of its symbols, and the checks that inference leaves for the run."""
    infos: list[TensorInfo | None] = []
    env: dict[str, int] = {}
    for k, array in enumerate(case.inputs):
        if array is None:
            infos.append(None)
        elif k in case.constant:
            infos.append(TensorInfo.of_array(np.asarray(array), dtypes.from_numpy(array.dtype)))
        else:
            shape = tuple(symbol(f"d{k}_{axis}") for axis in range(array.ndim))
            env.update({f"d{k}_{axis}": size for axis, size in enumerate(array.shape)})
            infos.append(TensorInfo(dtypes.from_numpy(array.dtype), array.shape if known else shape))
    checks: list[tuple] = []
    counter = itertools.count()
    ctx = InferContext(
        "node",
        case.op,
        tuple(infos),
        case.outputs,
        lambda hint: symbol(f"{hint}#{next(counter)}"),
        lambda a, b, message: checks.append((a, b, message)),
    )
    return ctx, env, checks


def record_of(case: Case):
    attributes = {}
    for name, value in case.attributes.items():
        if hasattr(value, "SerializeToString"):
            value = onnx.numpy_helper.to_array(value)
        attributes[name] = tuple(value) if isinstance(value, list) else value
    record = decode(case.op, "", attributes, "node")
    assert record is not None
    return record


@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_inferred_sizes_are_the_real_ones(case, known):
    expected = case.expected()
    ctx, env, checks = context(case, known=known)
    infos = record_of(case).infer(ctx)
    assert len(infos) == case.outputs
    for info, real in zip(infos, expected, strict=True):
        assert info.dtype is dtypes.from_numpy(real.dtype)
        assert info.shape is not None
        assert all(free_symbols(size) <= env.keys() for size in info.shape), list(map(to_text, info.shape))
        assert tuple(evaluate(size, env) for size in info.shape) == real.shape
        if info.values is not None:
            assert [evaluate(value, env) for value in info.values] == real.reshape(-1).tolist()
    for a, b, message in checks:
        assert evaluate(a, env) == evaluate(b, env), message


VIEWS = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), View)]


@pytest.mark.parametrize("case", [case for case, _ in VIEWS], ids=[name for _, name in VIEWS])
@pytest.mark.parametrize("order", ["dense", "transposed"])
def test_views_show_the_right_elements(case, order):
    expected = case.expected()
    ctx, env, _ = context(case)
    record = record_of(case)
    infos = record.infer(ctx)
    array = np.asarray(case.inputs[0])
    shape = ctx.input(0).shape
    strides = row_major(shape)
    if order == "transposed":
        strides = tuple(reversed(row_major(tuple(reversed(shape)))))
        array = np.asfortranarray(array)
    source = Operand(0, ctx.input(0).dtype, shape, strides)
    views = record.view(ctx, infos, source)
    if views is None:
        assert order == "transposed"
        return
    memory = array.ravel(order="K")
    for view, real in zip(views, expected, strict=True):
        sizes = [evaluate(size, env) for size in view.shape]
        steps = [evaluate(stride, env) for stride in view.strides]
        start = evaluate(view.offset, env)
        assert tuple(sizes) == real.shape
        places = [start + sum(k * step for k, step in zip(index, steps, strict=True)) for index in np.ndindex(*sizes)]
        np.testing.assert_array_equal(memory[places] if places else memory[:0], real.reshape(-1))


INDEXED = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), Indexed)]


class Reading:
    """An IndexContext that reads at once."""

    def __init__(self, case: Case, ctx: InferContext, outputs, env: dict[str, int]) -> None:
        self.case, self.infer, self.outputs, self.env = case, ctx, outputs, env

    def number(self, dim) -> int:
        return evaluate(dim, self.env)

    def load_index(self, input, index, bound, wraps=True):
        place = int(self.case.inputs[input][tuple(map(self.number, index))])
        bound = self.number(bound)
        assert (-bound if wraps else 0) <= place < bound
        return place + bound if place < 0 else place

    def value(self, read):
        if not isinstance(read, Read):
            return read
        if any(self.number(condition) < 0 for condition in read.conditions):
            fill = read.fill
            return self.value(replace(fill, conditions=()) if isinstance(fill, Read) else fill)
        index = tuple(map(self.number, read.index))
        array = self.case.inputs[read.input]
        assert all(0 <= place < size for place, size in zip(index, array.shape, strict=True))
        return array[index]


@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", [case for case, _ in INDEXED], ids=[name for _, name in INDEXED])
def test_indices_name_the_right_elements(case, known):
    (expected,) = case.expected()
    ctx, env, _ = context(case, known=known)
    record = record_of(case)
    reading = Reading(case, ctx, record.infer(ctx), env)
    assert record.lowers(ctx)
    for position in np.ndindex(*expected.shape):
        assert reading.value(record.index(reading, position)) == expected[position]


ANCHORS = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), Anchor)]


@pytest.mark.parametrize(("known", "splits"), [(False, 3), (True, 1)], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", [case for case, _ in ANCHORS], ids=[name for _, name in ANCHORS])
def test_kernels_compute_the_right_elements(case, known, splits):
    (expected,) = case.expected()
    places = [(k, axis) for k, array in enumerate(case.inputs) if array is not None for axis in range(array.ndim)]
    symbolic = [] if known else [place for place in places if place[0] not in case.constant]
    arrays = [None if array is None else np.asarray(array) for array in case.inputs]
    result = run_record(record_of(case), arrays, constant=case.constant, symbolic=symbolic, splits=splits)
    assert result.dtype == expected.dtype
    # The reference rounds cubic weights to float32; a resized integer may lie at the border of two.
    loose = 1e-5 if case.attributes.get("mode") == "cubic" else 2e-6
    tolerance = loose if expected.dtype.kind == "f" else float(case.op == "Resize")
    np.testing.assert_allclose(result.astype(np.float64), expected.astype(np.float64), rtol=loose, atol=tolerance)


ORDERED = [case for case, _ in ANCHORS if case.op in ("Concat", "Tile", "Resize") and np.ndim(case.inputs[0]) == 4]


@pytest.mark.parametrize("case", ORDERED, ids=str)
def test_memory_order_is_kept(case):
    """Channels-last inputs, whose sizes are symbols, give channels-last outputs."""
    (expected,) = case.expected()
    places = [(k, axis) for k, array in enumerate(case.inputs) if array is not None for axis in range(array.ndim)]
    first = np.ascontiguousarray(np.moveaxis(case.inputs[0], 1, 3))
    arrays = [np.moveaxis(first, 3, 1), *case.inputs[1:]]
    symbolic = [place for place in places if place[0] not in case.constant]
    result = run_record(record_of(case), arrays, constant=case.constant, symbolic=symbolic, splits=2)
    loose = 1e-5 if case.attributes.get("mode") == "cubic" else 2e-6
    tolerance = loose if expected.dtype.kind == "f" else float(case.op == "Resize")
    np.testing.assert_allclose(result.astype(float), expected.astype(float), rtol=loose, atol=tolerance)
    if result.shape[1] > 1 and result.shape[2] > 1:
        assert result.strides[1] < result.strides[2]


def test_pad_crops():
    x = floats(3, 4, 5)
    case = Case("Pad", [x, i64(-1, 0, 2, 0, -2, 1)], constant=[1])
    ctx, env, _ = context(case)
    record = record_of(case)
    reading = Reading(case, ctx, record.infer(ctx), env)
    expected = np.pad(x[1:, :2], ((0, 0), (0, 0), (2, 1)))
    assert tuple(evaluate(size, env) for size in reading.outputs[0].shape) == expected.shape
    for position in np.ndindex(*expected.shape):
        assert reading.value(record.index(reading, position)) == expected[position]


@pytest.mark.parametrize(
    "case",
    [
        Case("ScatterElements", [floats(4), i64(0, 4), floats(2)]),
        Case("ScatterElements", [floats(4), i64(-5, 1), floats(2)]),
        Case("ScatterND", [floats(4, 3), i64([0, 0], [1, 3]), floats(2)], constant=[1]),
        Case("ScatterND", [floats(4, 3), i64([0, 0], [-5, 1]), floats(2)], constant=[1]),
    ],
    ids=str,
)
def test_an_index_out_of_range_is_refused_before_it_is_used(case):
    with pytest.raises(AssertionError):  # the harness asserts a status of 0
        run_record(record_of(case), list(case.inputs), constant=case.constant)


BAD = [
    (Case("Reshape", [floats(2, 3), i64(4, 2)], constant=[1]), "elements"),
    (Case("Reshape", [floats(2, 3), i64(-1, -1)], constant=[1]), "more than once"),
    (Case("Reshape", [floats(2, 3), i64(1, 1, 0, -1)], constant=[1]), "rank 2"),
    (Case("Reshape", [floats(2, 3), i64(-2, 3)], constant=[1]), "negative"),
    (Case("Reshape", [floats(2, 3), i64(4, -1)], constant=[1]), "elements"),
    (Case("Flatten", [floats(2, 3)], {"axis": 3}), "axis 3"),
    (Case("Squeeze", [floats(2, 3), i64(0)], constant=[1]), "not 1"),
    (Case("Squeeze", [floats(1, 3), i64(0, -2)], constant=[1]), "twice"),
    (Case("Unsqueeze", [floats(1, 3), i64(4)], constant=[1]), "axis 4"),
    (Case("Transpose", [floats(1, 3)], {"perm": [0, 0]}), "perm"),
    (Case("Expand", [floats(3), i64(4)], constant=[1]), "broadcast"),
    (Case("Slice", [floats(3), i64(0), i64(1), i64(0), i64(0)], constant=[1, 2, 3, 4]), "step is 0"),
    (Case("Slice", [floats(3), i64(0), i64(1), i64(1)], constant=[1, 2, 3]), "axis 1"),
    (Case("Split", [floats(3), i64(1, 1)], constant=[1], outputs=2), "add up"),
    (Case("Split", [floats(3), i64(1, 2)], constant=[1], outputs=3), "outputs"),
    (Case("Concat", [floats(3, 2), floats(2, 2)], {"axis": 1}), "axis 0"),
    (Case("Concat", [floats(3, 2), floats(2)], {"axis": 0}), "rank"),
    (Case("Tile", [floats(3, 2), i64(1)], constant=[1]), "repeats"),
    (Case("Pad", [floats(3, 2), i64(1)], constant=[1]), "pads"),
    (Case("Pad", [floats(3), i64(-2, -2)], constant=[1]), "crop"),
    (Case("Gather", [floats(3), i64(3)], constant=[1]), "outside"),
    (Case("Gather", [f32(3), i64(0)], constant=[1]), "scalar"),
    (Case("GatherND", [floats(3), i64([0, 0])], constant=[1]), "tuples"),
    (Case("ScatterElements", [floats(3), i64(0, 1), floats(3)]), "axis 0"),
    (Case("ScatterND", [floats(3), i64([0], [1]), floats(3)], constant=[1]), "updates"),
    (Case("DepthToSpace", [floats(1, 3, 2, 2)], {"blocksize": 2}), "multiple"),
    (Case("Resize", [floats(3)]), "scales and sizes"),
    (Case("Resize", [floats(3), None, np.array([1, 2], f32)], constant=[2]), "2 scales"),
    (Case("Resize", [floats(3), None, np.array([-1], f32)], constant=[2]), "positive"),
    (Case("Resize", [floats(3), None, np.array([1], f32)], {"mode": "area"}, constant=[2]), "mode"),
    (Case("OneHot", [i64(0), i64(2), floats(3)], constant=[1]), "two elements"),
    (Case("Range", [np.array(0), np.array(3), np.array(0)], constant=[0, 1, 2]), "delta"),
    (Case("EyeLike", [floats(3)]), "rank 2"),
    (Case("Trilu", [floats(3)]), "rank 2"),
    (Case("CumSum", [floats(3), np.array(1)], constant=[1]), "axis 1"),
]


@pytest.mark.parametrize(("case", "message"), BAD, ids=[f"{k}-{case.op}" for k, (case, _) in enumerate(BAD)])
def test_bad_inputs_are_named(case, message):
    ctx, _, _ = context(case, known=True)
    with pytest.raises(InvalidModelError, match=message) as caught:
        record_of(case).infer(ctx)
    assert "'node'" in str(caught.value)


def test_shape_arithmetic_stays_symbolic():
    batch, seq = symbol("batch"), symbol("seq")
    x = TensorInfo(dtypes.float32, (batch, seq, 768))
    shape = run("Shape", [x])
    assert shape.values == (batch, seq, 768)
    first = run("Gather", [shape, constant(np.array(0))])
    assert first.values == (batch,)
    assert first.shape == ()
    lifted = run("Unsqueeze", [first, constant(i64(0))])
    tail = run("Slice", [shape, constant(i64(1)), constant(i64(2))])
    target = run("Concat", [lifted, tail, constant(i64(12, -1))], {"axis": 0})
    assert target.values == (batch, seq, 12, -1)
    split = run("Reshape", [x, target])
    assert split.shape == (batch, seq, 12, 64)
    heads = run("Transpose", [split], {"perm": (0, 2, 1, 3)})
    assert heads.shape == (batch, 12, seq, 64)
    positions = run("Range", [constant(np.array(0)), run("Squeeze", [tail]), constant(np.array(1))])
    assert positions.shape == (seq,)
    assert run("Reshape", [heads, constant(i64(-1, 64))]).shape == (batch * seq * 12, 64)


def specified_slice(size: int, start: int, end: int, step: int) -> range:
    """The elements of a slice as the specification words it (which is not numpy's for a start before the front)."""
    first, last = (edge + size if edge < 0 else edge for edge in (start, end))
    if step > 0:
        return range(min(max(first, 0), size), min(max(last, 0), size), step)
    return range(min(max(first, 0), size - 1), min(max(last, -1), size - 1), step)


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(-20, 20), st.integers(-20, 20), st.integers(-5, 5).filter(bool), st.booleans())
def test_slices_of_symbolic_ranges(size, start, end, step, shifted):
    """Bounds of unknown sign: a symbol less a number, or the negative of a symbol."""
    checks = []
    ctx = InferContext("node", "Slice", (), 1, symbol, lambda a, b, message: checks.append((a, b)))
    if shifted:
        env = {"n": size, "start": start + 20, "end": end + 20}
        first, last = symbol("start") - 20, symbol("end") - 20
    else:
        start, end = -abs(start), -abs(end)
        env = {"n": size, "start": -start, "end": -end}
        first, last = -symbol("start"), -symbol("end")
    offset, count, _ = slice_range(ctx, first, last, step, symbol("n"))
    if any(evaluate(a, env) != evaluate(b, env) for a, b in checks):
        assert not shifted
        assert 0 in (start, end)
        return
    expected = specified_slice(size, start, end, step)
    assert evaluate(count, env) == len(expected)
    if expected:
        assert evaluate(offset, env) == expected[0]


def constant(array) -> TensorInfo:
    return TensorInfo.of_array(np.asarray(array), dtypes.from_numpy(np.asarray(array).dtype))


def run(op, inputs, attributes=None) -> TensorInfo:
    def refuse(*args):
        raise AssertionError(f"nothing is left to check or unknown here: {args}")

    record = decode(op, "", attributes or {}, "node")
    assert record is not None
    return record.infer(InferContext("node", op, tuple(inputs), 1, refuse, refuse))[0]


def test_unknown_sizes_become_fresh_symbols():
    unknown = TensorInfo(dtypes.int64, (3,))
    data = TensorInfo(dtypes.float32, (4, 5, 6))
    for op, inputs, attributes in [
        ("Reshape", [data, unknown], {}),
        ("Expand", [data, unknown], {}),
        ("Tile", [data, unknown], {}),
        ("ConstantOfShape", [unknown], {}),
    ]:
        ctx = InferContext("node", op, tuple(inputs), 1, lambda hint: symbol(f"{hint}#"))
        record = decode(op, "", attributes, "node")
        assert record is not None
        (info,) = record.infer(ctx)
        assert len(info.shape) == 3
        assert all(free_symbols(size) for size in info.shape)
