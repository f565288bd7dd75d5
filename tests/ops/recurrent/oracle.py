"""Recurrent layers in plain numpy, float64, one row at a time: the specification's formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, tuple[Callable[..., Array], dict[str, float]]] = {
    "Relu": (lambda x: np.maximum(x, 0), {}),
    "Tanh": (np.tanh, {}),
    "Sigmoid": (sigmoid, {}),
    "Affine": (lambda x, alpha, beta: alpha * x + beta, {"alpha": 1.0, "beta": 0.0}),
    "LeakyRelu": (lambda x, alpha: np.where(x < 0, alpha * x, x), {"alpha": 0.01}),
    "ThresholdedRelu": (lambda x, alpha: np.where(x > alpha, x, 0), {"alpha": 1.0}),
    "ScaledTanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), {"alpha": 1.0, "beta": 1.0}),
    "HardSigmoid": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), {"alpha": 0.2, "beta": 0.5}),
    "Elu": (lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x), {"alpha": 1.0}),
    "Softsign": (lambda x: x / (1 + np.abs(x)), {}),
    "Softplus": (lambda x: np.logaddexp(0, x), {}),
}


def functions(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[Function]:
    """Each takes its alpha and beta from what is left of the lists, else the default."""
    left: dict[str, Iterator[float]] = {"alpha": iter(alphas), "beta": iter(betas)}
    result: list[Function] = []
    for name in names:
        function, defaults = FUNCTIONS[name]
        given = {key: next(left[key], default) for key, default in defaults.items()}
        result.append(lambda x, function=function, given=given: function(x, **given))  # type: ignore[misc]
    return result


def step(op: str, fs: Sequence[Function], x: Array, h: Array, c: Array, p: Array, attributes: Any) -> tuple[Any, Any]:
    """One row's new h and c; ``x`` and ``r`` within it are the gates' sums, see ``layer``."""
    wx, r, wb, rb = x
    limit = attributes.get("clip", np.inf)

    def clip(value: Array) -> Array:
        return np.clip(value, -limit, limit)

    size = len(h)
    gates = [slice(g * size, (g + 1) * size) for g in range(GATES[op])]

    def total(gate: int, source: Array) -> Array:
        return wx[gates[gate]] + wb[gates[gate]] + r[gates[gate]] @ source + rb[gates[gate]]

    if op == "RNN":
        return fs[0](clip(total(0, h))), c
    if op == "GRU":
        z, reset = fs[0](clip(total(0, h))), fs[0](clip(total(1, h)))
        if attributes.get("linear_before_reset"):
            g = gates[2]
            inner = wx[g] + wb[g] + reset * (r[g] @ h + rb[g])
        else:
            inner = total(2, reset * h)
        return (1 - z) * fs[1](clip(inner)) + z * h, c
    pi, po, pf = np.split(p, 3)
    i = fs[0](clip(total(0, h) + pi * c))
    f = 1 - i if attributes.get("input_forget") else fs[0](clip(total(2, h) + pf * c))
    c = f * c + i * fs[1](clip(total(3, h)))
    o = fs[0](clip(total(1, h) + po * c))
    return o * fs[2](c), c


def layer(op: str, inputs: Sequence[Array | None], **attributes: Any) -> list[Array]:
    """All outputs: y, y_h and, of LSTM, y_c."""
    x, w, r, b, lengths, h0, c0, p = [
        None if a is None else a.astype(np.float64) for a in [*inputs, *[None] * (8 - len(inputs))]
    ]
    assert x is not None
    assert w is not None
    assert r is not None
    batch_first = bool(attributes.get("layout"))
    if batch_first:
        x = x.swapaxes(0, 1)
        h0, c0 = (None if a is None else a.swapaxes(0, 1) for a in (h0, c0))
    steps, batch, directions, hidden = *x.shape[:2], len(w), r.shape[2]
    per = len(ACTIVATIONS[op])
    names = attributes.get("activations", ACTIVATIONS[op] * directions)
    fs = functions(names, attributes.get("activation_alpha", ()), attributes.get("activation_beta", ()))
    y = np.zeros((steps, directions, batch, hidden))
    finals = np.zeros((2, directions, batch, hidden))
    for d in range(directions):
        backward = d == 1 or attributes.get("direction") == "reverse"
        wb, rb = np.split(b[d], 2) if b is not None else (np.zeros(GATES[op] * hidden),) * 2
        for row in range(batch):
            length = steps if lengths is None else int(lengths[row])
            h = np.zeros(hidden) if h0 is None else h0[d, row]
            c = np.zeros(hidden) if c0 is None else c0[d, row]
            for place in range(length):
                t = length - 1 - place if backward else place
                sums = (w[d] @ x[t, row], r[d], wb, rb)
                peepholes = np.zeros(3 * hidden) if p is None else p[d]
                h, c = step(op, fs[d * per : (d + 1) * per], sums, h, c, peepholes, attributes)  # type: ignore[arg-type]
                y[t, d, row] = h
            if length:
                finals[0, d, row], finals[1, d, row] = h, c
    if batch_first:
        y, finals = y.transpose(2, 0, 1, 3), finals.swapaxes(1, 2)
    return [y, *finals[: 2 if op == "LSTM" else 1]]
