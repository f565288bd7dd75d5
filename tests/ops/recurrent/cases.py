"""Random recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ops.recurrent.oracle import ACTIVATIONS, FUNCTIONS, GATES
from sardonyx.ops.base import Anchor
from sardonyx.ops.recurrent.gru import GRU
from sardonyx.ops.recurrent.lstm import LSTM
from sardonyx.ops.recurrent.rnn import RNN

Array = npt.NDArray[Any]
RECORDS: dict[str, type[Anchor]] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}


@dataclass
class Layer:
    """An operator, its inputs (trailing ones may lack) and its attributes."""

    op: str
    inputs: list[Array | None]
    attributes: dict[str, Any]

    @property
    def record(self) -> Anchor:
        return RECORDS[self.op](**self.attributes)

    @property
    def outputs(self) -> int:
        return 3 if self.op == "LSTM" else 2


def make_layer(
    op: str,
    steps: int,
    batch: int,
    size: int,
    hidden: int,
    *,
    direction: str = "forward",
    layout: int = 0,
    optional: str = "blhcp",
    seed: int = 0,
    dtype: Any = np.float32,
    scale: float = 1.0,
    **attributes: Any,
) -> Layer:
    """A layer with the ``optional`` inputs: bias, lengths, initial h and c, peepholes. ``scale`` is that of weights."""
    rng = np.random.default_rng(seed)
    directions, gates = 2 if direction == "bidirectional" else 1, GATES[op]

    def random(letter: str, *shape: int) -> Array | None:
        return (rng.uniform(-1, 1, shape) * scale).astype(dtype) if letter in optional else None

    state = (batch, directions, hidden) if layout else (directions, batch, hidden)
    inputs: list[Array | None] = [
        rng.normal(size=(batch, steps, size) if layout else (steps, batch, size)).astype(dtype),
        (rng.normal(size=(directions, gates * hidden, size)) * scale / np.sqrt(size)).astype(dtype),
        (rng.normal(size=(directions, gates * hidden, hidden)) * scale / np.sqrt(hidden)).astype(dtype),
        random("b", directions, 2 * gates * hidden),
        rng.integers(0, steps + 1, batch).astype(np.int32) if "l" in optional else None,
        random("h", *state),
    ]
    if op == "LSTM":
        inputs += [random("c", *state), random("p", directions, 3 * hidden)]
    return Layer(op, inputs, {"hidden_size": hidden, "direction": direction, "layout": layout, **attributes})


def random_layer(seed: int) -> Layer:
    """Any operator, sizes, direction, activations and optional inputs.

    Numbers are kept small, as activations without bounds make them grow with every step.
    """
    rng = np.random.default_rng(seed)
    op = str(rng.choice(list(GATES)))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    steps, batch = (int(rng.choice(sizes)) for sizes in ([0, 1, 2, 5, 9], [0, 1, 1, 2, 3, 7, 11, 20]))
    size, hidden = (int(rng.choice(sizes)) for sizes in ([1, 3, 16, 37], [1, 5, 16, 24, 33, 80, 130]))
    attributes: dict[str, Any] = {}
    if rng.integers(2):
        count = len(ACTIVATIONS[op]) * (2 if direction == "bidirectional" else 1)
        attributes["activations"] = tuple(str(n) for n in rng.choice(list(FUNCTIONS), count))
        for name in ("activation_alpha", "activation_beta"):
            attributes[name] = tuple(float(v) for v in rng.uniform(0.1, 0.9, rng.integers(0, count + 1)))
    if rng.integers(3) == 0:
        attributes["clip"] = float(rng.uniform(0.2, 2))
    if op == "LSTM":
        attributes["input_forget"] = int(rng.integers(2))
    if op == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    optional = "".join(letter for letter in "blhcp" if rng.integers(2))
    attributes |= {"direction": direction, "layout": int(rng.integers(2))}
    return make_layer(op, steps, batch, size, hidden, optional=optional, seed=seed, scale=0.3, **attributes)
