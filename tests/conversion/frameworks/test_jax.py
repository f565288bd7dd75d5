"""JAX sources: functions and modules, trees of inputs, the batch, what jax2onnx leaves behind, messages."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import sardonyx
from sardonyx.errors import ConversionError

# Loading all of jax2onnx's plugins warns of what Flax deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def shapes(result: sardonyx.Conversion) -> dict[str, list[Any]]:
    session = result.session()
    return {value.name: list(value.shape) for value in (*session.get_inputs(), *session.get_outputs())}


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def apply(self, x: Any) -> Any:
        return jnp.sin(x) * self.factor


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.sin(x) * 2,
        jax.jit(lambda x: jnp.sin(x) * 2),
        jax.vmap(lambda x: jnp.sin(x) * 2),
        functools.partial(lambda factor, x: jnp.sin(x) * factor, 2),
        Scaled(2).apply,
    ],
    ids=["plain", "jit", "vmap", "partial", "method"],
)
def test_kinds_of_functions(function: Any) -> None:
    result = sardonyx.convert(function, example_inputs=(X,))
    assert result.certificate.passed
    assert shapes(result) == {"x": ["batch", 4], "output": ["batch", 4]}
    np.testing.assert_allclose(result.session().run(None, {"x": X})[0], np.sin(X) * 2, rtol=1e-6)


def test_trees_of_inputs_and_outputs_get_names() -> None:
    def function(table: Any, *, scale: Any, negate: bool) -> Any:
        total = table["a"] + table["rest"][0] * scale
        return {"total": -total if negate else total, "both": (table["a"], scale)}

    example = {"table": {"a": X, "rest": [X]}, "scale": np.float32(3), "negate": True}
    result = sardonyx.convert(function, example_inputs=example)
    assert result.certificate.passed
    assert shapes(result) == {
        "scale": [],
        "table.a": ["batch", 4],
        "table.rest.0": ["batch", 4],
        "both.0": ["batch", 4],
        "both.1": [],
        "total": ["batch", 4],
    }
    assert "negate = True is part of the model, as in the example" in result.certificate.notes


def test_weights_ahead_of_the_data_keep_their_sizes() -> None:
    weights = {"w": np.ones((4, 2), np.float32), "b": np.zeros(2, np.float32)}
    result = sardonyx.convert(lambda p, x: x @ p["w"] + p["b"], example_inputs=(weights, X))
    assert result.certificate.passed
    assert shapes(result) == {"p.b": [2], "p.w": [4, 2], "x": ["batch", 4], "output": ["batch", 2]}


def test_a_batch_that_cannot_change_stays() -> None:
    weights = np.ones((1, 3), np.float32)
    result = sardonyx.convert(lambda x: jnp.asarray(weights) @ x, example_inputs=(X,))
    assert result.certificate.passed
    assert shapes(result) == {"x": [3, 4], "output": [1, 4]}
    assert any("the batch stays" in note for note in result.certificate.notes)


def test_more_axes_can_be_open() -> None:
    result = sardonyx.convert(lambda x: jnp.cumsum(x, axis=1), example_inputs=(X,), dynamic_axes={"x": {1: "length"}})
    assert result.certificate.passed
    assert shapes(result) == {"x": ["batch", "length"], "output": ["batch", "length"]}
    with pytest.raises(ConversionError, match="dynamic_axes names z; the inputs are x"):
        sardonyx.convert(lambda x: jnp.sin(x), example_inputs=(X,), dynamic_axes={"z": {0: "n"}})


def test_float64_where_jax_has_it() -> None:
    assert sardonyx.convert(lambda x: jnp.exp(x), example_inputs=(X.astype(np.float64),)).certificate.tolerance == 1e-5
    with jax.enable_x64(True):
        result = sardonyx.convert(lambda x: jnp.exp(x), example_inputs=(X.astype(np.float64),))
    assert result.certificate.passed
    assert result.certificate.tolerance == 1e-12
    assert result.session().get_inputs()[0].type == "tensor(double)"


def test_linen_modules_come_with_their_variables() -> None:
    module = linen.Dense(3)
    variables = module.init(jax.random.key(0), X)
    for source in ((module, variables), module.bind(variables)):
        result = sardonyx.convert(source, example_inputs=(X,))
        assert result.certificate.passed
        assert shapes(result) == {"inputs": ["batch", 4], "output": ["batch", 3]}
    with pytest.raises(ConversionError, match=r"holds no variables: convert\(\(module, variables\)"):
        sardonyx.convert(module, example_inputs=(X,))


def test_nnx_modules_are_converted_in_eval_mode() -> None:
    module = nnx.Sequential(nnx.Linear(4, 8, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(1)))
    result = sardonyx.convert(module, example_inputs=(X,))
    assert result.certificate.passed
    assert not module.layers[1].deterministic


def test_jax_is_left_as_it_was() -> None:
    cumsum = jnp.cumsum
    function = jax.jit(lambda x: jax.nn.gelu(jnp.cumsum(x, 1)) @ jnp.ones((4, 2)))
    before = function(X)
    result = sardonyx.convert(function, example_inputs=(X,), dynamic=False)
    assert result.certificate.passed
    assert jnp.cumsum is cumsum
    np.testing.assert_array_equal(function(X), before)
    assert not jax.config.jax_enable_x64


def test_an_example_is_needed() -> None:
    with pytest.raises(ConversionError, match=r"has to see one.*example_inputs=.*The function takes: left, right"):
        sardonyx.convert(lambda left, right: jnp.dot(left, right))
    with pytest.raises(ConversionError, match="cannot be called with the example inputs: TypeError"):
        sardonyx.convert(lambda x: jnp.dot(x, x), example_inputs=(X,))
    with pytest.raises(ConversionError, match="hold no array"):
        sardonyx.convert(lambda x: jnp.sin(x), example_inputs=(1.0,))
    with pytest.raises(ConversionError, match="key holds key<fry>"):
        sardonyx.convert(lambda x, key: x + jax.random.normal(key, x.shape), example_inputs=(X, jax.random.key(0)))


def test_a_primitive_without_converter_is_named() -> None:
    def function(x: Any) -> Any:
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    with pytest.raises(ConversionError, match="no converter for JAX's primitive 'pure_callback'"):
        sardonyx.convert(function, example_inputs=(X,))


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    sardonyx.convert(lambda x: jnp.sort(x)[:, ::-1] + jax.nn.softmax(x), example_inputs=(X,))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
