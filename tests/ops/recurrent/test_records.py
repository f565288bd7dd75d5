"""The records of RNN, GRU and LSTM against plain numpy in float64."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ops.recurrent.cases import Layer, make_layer, random_layer
from ops.recurrent.oracle import GATES, layer
from ops.run_record import RunContext
from sardonyx.errors import InvalidModelError
from sardonyx.kernels.recurrent import Recurrence
from sardonyx.kernels.recurrent_inputs import input_rows
from sardonyx.lang.host import host_target
from sardonyx.targets import AVX2, BASELINE, Target


def run(given: Layer, **options: Any) -> list[np.ndarray[Any, Any]]:
    context = RunContext(given.record, given.inputs, outputs=given.outputs, **options)
    return [context.results[k] for k in sorted(context.results)]


def symbolic(given: Layer) -> list[tuple[int, int]]:
    """Steps and batch, wherever they occur."""
    batch = 0 if given.attributes["layout"] else 1
    places = [(0, 0), (0, 1), (4, 0), (5, batch), (6, batch)]
    return [(k, axis) for k, axis in places if k < len(given.inputs) and given.inputs[k] is not None]


def check(given: Layer, tolerance: float = 1e-5, **options: Any) -> None:
    expected = layer(given.op, given.inputs, **given.attributes)
    for got, wanted in zip(run(given, **options), expected, strict=True):
        np.testing.assert_allclose(got.astype(np.float64), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", range(40))
def test_random(seed: int) -> None:
    given = random_layer(seed)
    constant = (1, 2, 3) if seed % 2 else ()
    check(given, 4e-5, constant=constant, symbolic=symbolic(given) if seed % 3 else (), splits=1 + seed % 3)


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_dtypes(op: str, direction: str, dtype: Any) -> None:
    tolerance = {np.float64: 1e-12, np.float16: 2e-3, ml_dtypes.bfloat16: 1.5e-2}[dtype]
    given = make_layer(op, 6, 3, 7, 21, direction=direction, dtype=dtype)
    check(given, tolerance, constant=(1, 2, 3))


def test_every_height_of_a_block() -> None:
    for batch in range(1, 15):
        given = make_layer("LSTM", 3, batch, 4, 48, seed=batch)
        check(given, constant=(1, 2), symbolic=symbolic(given))
    for batch in (1, 6, 7):
        check(make_layer("LSTM", 3, batch, 4, 48), constant=(1, 2))


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("target", [BASELINE, AVX2])
def test_other_targets(op: str, target: Target) -> None:
    for linear, hidden in itertools.product((0, 1) if op == "GRU" else (0,), (3, 40)):
        extra = {"linear_before_reset": linear} if op == "GRU" else {}
        check(make_layer(op, 4, 5, 6, hidden, direction="bidirectional", **extra), target=target)


@pytest.mark.parametrize("op", list(GATES))
def test_tasks_do_not_matter(op: str) -> None:
    given = make_layer(op, 5, 17, 8, 40, direction="bidirectional")
    first = run(given)
    for splits in (2, 5, 6):
        for a, b in zip(first, run(given, splits=splits), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("layout", [0, 1])
def test_memory_orders(op: str, layout: int) -> None:
    given = make_layer(op, 6, 4, 5, 18, direction="bidirectional", layout=layout)
    x = given.inputs[0]
    assert x is not None
    given.inputs[0] = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
    check(given)
    context = RunContext(given.record, given.inputs, outputs=given.outputs)
    order = np.argsort([-step for step in context.results[0].strides])
    assert order.tolist() == ([0, 1, 2, 3] if layout else [2, 0, 1, 3])
    given.inputs[0] = np.repeat(x, 2, axis=2)[:, :, ::2]
    check(given)


def test_only_what_is_read() -> None:
    given = make_layer("LSTM", 4, 3, 5, 20)
    expected = layer("LSTM", given.inputs, **given.attributes)
    for count in (1, 2):
        for unread in itertools.combinations(range(3), count):
            context = RunContext(given.record, given.inputs, outputs=3, unread=unread)
            assert sorted(context.results) == [k for k in range(3) if k not in unread]
            for place, got in context.results.items():
                np.testing.assert_allclose(got, expected[place], rtol=1e-5, atol=1e-5)


def test_values_behind_the_end_do_not_matter() -> None:
    given = make_layer("GRU", 7, 3, 4, 16, direction="bidirectional", optional="bl")
    x, lengths = given.inputs[0], given.inputs[4]
    assert x is not None
    assert lengths is not None
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    check(given)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"direction": "backward"}, "attribute 'direction' must be one of forward, reverse, bidirectional"),
    ({"direction": "bidirectional"}, "W must have shape"),
    ({"layout": 2}, "attribute 'layout' must be 0 or 1"),
    ({"hidden_size": 0}, "attribute 'hidden_size' must be positive"),
    ({"hidden_size": 4}, "W must have shape"),
    ({"clip": -1.0}, "attribute 'clip' must not be negative"),
    ({"activations": ("Tanh", "Tanh")}, "must name 3 functions, got 2"),
    ({"activations": ("Tanh", "Tanh", "Swish")}, "activation 'Swish' is unknown"),
]


@pytest.mark.parametrize(("attributes", "message"), WRONG, ids=lambda part: str(part)[:30])
def test_wrong_attributes(attributes: dict[str, Any], message: str) -> None:
    given = make_layer("LSTM", 2, 2, 3, 5)
    given.attributes |= attributes
    with pytest.raises(InvalidModelError, match=message):
        run(given)


@pytest.mark.parametrize(("index", "name"), [(2, "R"), (3, "B"), (4, "sequence_lens"), (5, "initial_h"), (7, "P")])
def test_wrong_shapes(index: int, name: str) -> None:
    given = make_layer("LSTM", 2, 2, 3, 5)
    wrong = given.inputs[index]
    assert wrong is not None
    given.inputs[index] = wrong[..., :-1]
    with pytest.raises(InvalidModelError, match=f"{name} must have shape"):
        run(given)


def makes_inputs_beside(context: RunContext) -> bool:
    """Whether the recurrent kernel makes the products of the inputs itself."""
    (kernel,) = (kernel for kernel, *_ in context.kernels if isinstance(kernel, Recurrence))
    return kernel.inputs is not None


@pytest.mark.skipif(not input_rows(host_target(), 8), reason="this machine has few registers")
@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_inputs_beside_a_single_row(op: str, direction: str) -> None:
    for size, hidden, optional in [(3, 40, "bhcp"), (37, 33, "l"), (130, 80, "")]:
        for linear in (0, 1) if op == "GRU" else (0,):
            extra = {"linear_before_reset": linear} if op == "GRU" else {}
            for steps in (0, 1, 3, 10, 21, 34):
                given = make_layer(op, steps, 1, size, hidden, direction=direction, optional=optional, **extra)
                options: dict[str, Any] = {"constant": (1, 2), "symbolic": [(0, 0)], "outputs": given.outputs}
                context = RunContext(given.record, given.inputs, **options)
                assert makes_inputs_beside(context)
                expected = layer(op, given.inputs, **given.attributes)
                for place, wanted in enumerate(expected):
                    np.testing.assert_allclose(context.results[place], wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.skipif(not input_rows(host_target(), 8), reason="this machine has few registers")
def test_inputs_beside_in_every_form() -> None:
    for layout, dtype, tolerance in [(1, np.float32, 1e-5), (0, np.float64, 1e-12), (1, np.float16, 2e-3)]:
        given = make_layer("LSTM", 45, 1, 20, 34, direction="bidirectional", dtype=dtype, layout=layout)
        x = given.inputs[0]
        assert x is not None
        check(given, tolerance, constant=(1, 2))
        given.inputs[0] = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
        check(given, tolerance, constant=(1, 2), splits=2)


@pytest.mark.parametrize(
    ("steps", "batch", "size", "constant"),
    [(5, 1, 8, (1, 2)), (50, 2, 8, (1, 2)), (50, 1, 99, (1, 2)), (50, 1, 8, (2,))],
)
def test_inputs_beside_only_where_it_pays(steps: int, batch: int, size: int, constant: tuple[int, ...]) -> None:
    given = make_layer("LSTM", steps, batch, size, 40)
    assert not makes_inputs_beside(RunContext(given.record, given.inputs, outputs=3, constant=constant))
