"""JAX and Flax: trained on scikit-learn's data sets where those will do, else with seeded random weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from conversion.cases import Case

Built = tuple[Any, dict[str, Any]]


def logistic() -> Built:
    """Three classes of iris, trained by gradient descent; a jitted function of a dict."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)

    def logits(weights: Any, features: Any) -> Any:
        return features @ weights["w"] + weights["b"]

    def loss(weights: Any) -> Any:
        return -jnp.mean(jax.nn.log_softmax(logits(weights, x))[jnp.arange(len(y)), y])

    step = jax.jit(lambda weights: jax.tree.map(lambda w, g: w - 0.1 * g, weights, jax.grad(loss)(weights)))
    weights = {"w": jnp.zeros((4, 3)), "b": jnp.zeros(3)}
    for _ in range(300):
        weights = step(weights)

    @jax.jit
    def predict(features: Any) -> Any:
        scores = logits(weights, features)
        return {"label": jnp.argmax(scores, axis=1), "probability": jax.nn.softmax(scores)}

    return predict, {"example_inputs": (x[:2],), "data": np.asarray(x)}


def perceptron() -> Built:
    """Digits by a linen module, trained by gradient descent."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y = jnp.asarray(x / 16, jnp.float32), jnp.asarray(y)

    class Perceptron(linen.Module):
        @linen.compact
        def __call__(self, pixels: Any) -> Any:
            hidden = linen.LayerNorm()(linen.gelu(linen.Dense(48)(pixels)))
            return linen.softmax(linen.Dense(10)(hidden))

    module = Perceptron()

    def loss(variables: Any) -> Any:
        return -jnp.mean(jnp.log(module.apply(variables, x)[jnp.arange(len(y)), y] + 1e-7))

    step = jax.jit(lambda variables: jax.tree.map(lambda w, g: w - 0.5 * g, variables, jax.grad(loss)(variables)))
    variables = module.init(jax.random.key(0), x[:1])
    for _ in range(60):
        variables = step(variables)
    return (module, variables), {"example_inputs": (x[:2],), "data": np.asarray(x)}


def convolutions() -> Built:
    class Net(linen.Module):
        @linen.compact
        def __call__(self, image: Any) -> Any:
            x = linen.relu(linen.Conv(8, (3, 3))(image))
            x = linen.avg_pool(x, (2, 2), (2, 2))
            x = linen.relu(linen.Conv(16, (3, 3), strides=(2, 2), padding="VALID")(x))
            x = linen.max_pool(x, (2, 2), strides=(1, 1))
            return linen.Dense(10)(x.reshape(x.shape[0], -1))

    module = Net()
    example = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    return module.bind(module.init(jax.random.key(0), example)), {"example_inputs": example}


class Encoder(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(50, 16, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 16, rngs=rngs, decode=False)
        self.norm, self.last = nnx.LayerNorm(16, rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.wide, self.narrow = nnx.Linear(16, 64, rngs=rngs), nnx.Linear(64, 16, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, ids: Any) -> Any:
        x = self.embed(ids)
        x = self.norm(x + self.drop(self.attention(x)))
        return self.last(x + self.narrow(jax.nn.gelu(self.wide(x))))


def encoder() -> Built:
    ids = np.random.default_rng(0).integers(0, 50, (2, 12)).astype(np.int32)
    return Encoder(nnx.Rngs(0)), {"example_inputs": (ids,), "rows": 200}


class Normalised(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv, self.norm = nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.dense = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, image: Any) -> Any:
        return self.dense(jax.nn.swish(self.norm(self.conv(image))).mean((1, 2)))


def normalised() -> Built:
    """Batch normalisation that has seen some data."""
    module = Normalised(nnx.Rngs(0))
    for key in jax.random.split(jax.random.key(0), 3):
        module(jax.random.normal(key, (8, 8, 8, 3)) * 2 + 1)
    return module, {"example_inputs": (jax.random.normal(jax.random.key(9), (2, 8, 8, 3)),), "rows": 200}


def recurrence() -> Built:
    """A GRU by ``lax.scan``."""
    keys = jax.random.split(jax.random.key(0), 3)
    inner, outer = jax.random.normal(keys[0], (8, 24)) * 0.3, jax.random.normal(keys[1], (5, 24)) * 0.3

    def gru(sequence: Any) -> Any:
        def step(state: Any, value: Any) -> Any:
            a, b = value @ outer, state @ inner
            reset, update = jax.nn.sigmoid(a[:, :8] + b[:, :8]), jax.nn.sigmoid(a[:, 8:16] + b[:, 8:16])
            state = update * state + (1 - update) * jnp.tanh(a[:, 16:] + reset * b[:, 16:])
            return state, state

        last, states = jax.lax.scan(step, jnp.zeros((sequence.shape[0], 8)), jnp.swapaxes(sequence, 0, 1))
        return {"last": last, "states": jnp.swapaxes(states, 0, 1)}

    return gru, {"example_inputs": (jax.random.normal(keys[2], (2, 7, 5)),)}


def branches() -> Built:
    """A loop whose trips and a branch whose way the data decide."""

    def newton(value: Any) -> Any:
        root = jax.lax.while_loop(
            lambda pair: jnp.max(jnp.abs(pair[0] ** 2 - value)) > 1e-4,
            lambda pair: ((pair[0] + value / pair[0]) / 2, pair[1] + 1),
            (value, 0),
        )[0]
        return jax.lax.cond(jnp.sum(root) > 40, lambda r: r / 2, lambda r: r + 1, root)

    return newton, {"example_inputs": (np.linspace(0.5, 30, 16, dtype=np.float32).reshape(2, 8),), "dynamic": False}


def gradient() -> Built:
    """What ``grad`` and ``vmap`` make of an energy."""
    weights = jax.random.normal(jax.random.key(0), (3, 16))

    def energy(position: Any) -> Any:
        return jnp.sum(jnp.tanh(position @ weights) ** 2) + jnp.sqrt(jnp.sum(position**2) + 1)

    example = jax.random.normal(jax.random.key(1), (4, 3))
    return jax.vmap(jax.value_and_grad(energy)), {"example_inputs": (example,)}


def double() -> Built:
    """Filtering in float64."""

    def smooth(signal: Any, scale: Any) -> Any:
        total = jnp.cumsum(signal, 1)
        return {"mean": (total[:, 3:] - total[:, :-3]) / 3, "energy": jnp.linalg.norm(signal, axis=1) * scale}

    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        example = (jnp.asarray(rng.standard_normal((2, 20))), jnp.asarray(rng.random(2)))
    return smooth, {"example_inputs": example}


CASES = [
    Case("logistic regression, iris", logistic),
    Case("Flax Linen perceptron, digits", perceptron),
    Case("Flax Linen CNN", convolutions),
    Case("Flax NNX transformer encoder", encoder),
    Case("Flax NNX CNN with BatchNorm", normalised),
    Case("GRU by lax.scan", recurrence),
    Case("while_loop and cond", branches),
    Case("value_and_grad under vmap", gradient),
    Case("two inputs, float64", double),
]
