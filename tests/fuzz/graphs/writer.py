"""The writer of random graphs: it proposes a node, computes it with the oracles, keeps it if its results are sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference

from fuzz.graphs.oracles import Reference, Runtime, model_of
from fuzz.graphs.tracks import SHADOWS, Array, Value, coarse, difference, sane, shaken

Shape = tuple[int | str, ...]
Step = Callable[["Writer"], bool]
STEPS: list[tuple[float, Step, bool]] = []
"""(weight, step, whether the step decides nothing): steps that decide nothing may stand in the body of a loop."""

SYMBOLS = ("n", "t")
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 33)
LARGEST = 4000
ATTEMPTS = 40
GIVEN = 0.12
"""How likely a constant operand is an input instead."""
RUNTIME_ONLY = {"Loop"}
"""What only ONNX Runtime computes: the reference joins what a loop collects end to end instead of stacking it."""
DOUBTFUL = {"ConvTranspose", "Erf", "Gelu", "HardSwish"}
"""What is taken only where ONNX Runtime computes it as well: the reference's groups with dilations are wrong (torch
says otherwise), its Erf of float64 is rounded to float32 (``math.erf`` says otherwise), and so is HardSwish's 1/6."""


def step(weight: float = 1.0, calm: bool = False) -> Callable[[Step], Step]:
    """Registers a way to add a node: it returns whether it added one."""

    def register(function: Step) -> Step:
        STEPS.append((weight, function, calm))
        return function

    return register


class Writer:
    """A graph that grows. Every value is known in all tracks and variants, so that nothing can be undefined."""

    def __init__(self, seed: int, parent: Writer | None = None) -> None:
        self.parent = parent
        self.rng = parent.rng if parent else np.random.default_rng(seed)
        self.noise = parent.noise if parent else np.random.default_rng(seed + 1)
        self.values: dict[str, Value] = dict(parent.values) if parent else {}
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: dict[str, Shape] = parent.shapes if parent else {}
        self.pending: dict[str, Value] = {}
        self.own: list[str] = []
        self.disputed: Counter[str] = parent.disputed if parent else Counter()
        self.names: list[int] = parent.names if parent else [0]
        if parent:
            self.opset, self.variants = parent.opset, parent.variants
            return
        self.opset = int(self.rng.choice([17, 18, 21, 21, 21, 22, 23]))
        sizes = self.rng.permutation([1, 2, 3, 4, 5, 7, 9, 18])
        self.variants = [{"n": int(sizes[0]), "t": int(sizes[1])}, {"n": int(sizes[2]), "t": int(sizes[3])}]
        if self.chance(0.08):
            self.variants[1][str(self.rng.choice(SYMBOLS))] = 0

    # ---- drawing
    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def integer(self, low: int, high: int) -> int:
        """low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def draw(self, dtype: npt.DTypeLike, shape: Sequence[int]) -> Array:
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return np.asarray(self.rng.random(tuple(shape)) < 0.5)
        if dtype.kind == "f":
            if self.chance(0.3):
                return np.asarray(self.rng.integers(-12, 13, tuple(shape)) / 4, dtype)
            return np.asarray(self.rng.standard_normal(tuple(shape)) * self.choose([0.5, 1, 1, 2]), dtype)
        if dtype.itemsize == 1 and self.chance(0.5):
            info = np.iinfo(dtype)
            return np.asarray(self.rng.integers(info.min, info.max + 1, tuple(shape)), dtype)
        return np.asarray(self.rng.integers(0 if dtype.kind == "u" else -6, 10, tuple(shape)), dtype)

    # ---- operands
    def fresh(self) -> str:
        self.names[0] += 1
        return f"v{self.names[0]}"

    def pick(self, fits: Callable[[Value], bool] = lambda value: True) -> Value | None:
        """A value that fits, later ones likelier, so that graphs become deep."""
        fitting = [value for value in self.values.values() if value.kind != "constant" and fits(value)]
        return fitting[-1 - int(min(self.rng.exponential(2.5), len(fitting) - 1))] if fitting else None

    def input(self, dtype: npt.DTypeLike, shape: Shape) -> Value:
        """A new input of the graph; sizes may be symbols."""
        top = self
        while top.parent:
            top = top.parent
        truth = [
            top.draw(dtype, [sizes.get(d, d) if isinstance(d, str) else d for d in shape]) for sizes in top.variants
        ]
        return self.add_input(truth, shape)

    def add_input(self, truth: list[Array], shape: Shape) -> Value:
        value = Value(self.fresh(), [truth] * (1 + SHADOWS), "input")
        self.shapes[value.name] = shape
        writer: Writer | None = self
        while writer:
            writer.values[value.name] = value
            writer = writer.parent
        return value

    def dims(self, rank: int) -> Shape:
        dims: list[int | str] = []
        while len(dims) < rank:
            size = self.choose(SYMBOLS) if self.chance(0.3) else self.choose(SIZES)
            if np.prod([18 if isinstance(d, str) else d for d in (*dims, size)]) <= LARGEST:
                dims.append(size)
            else:
                dims.append(self.choose([1, 2]))
        return tuple(dims)

    def tensor(
        self, dtypes: Sequence[Any], low: int = 0, high: int = 5, fits: Callable[[Value], bool] | None = None
    ) -> Value:
        """A value of one of the dtypes, with low to high axes; a new input where there is none, or by chance."""
        names = {np.dtype(dtype) for dtype in dtypes}
        value = self.pick(lambda v: v.dtype in names and low <= v.rank <= high and (fits is None or fits(v)))
        if value is not None and not self.chance(0.05):
            return value
        return self.input(
            self.choose(dtypes), self.dims(self.integer(max(low, min(1, high)), min(high, 4) if high >= 4 else high))
        )

    def constant(
        self, array: Array | Sequence[int] | int, dtype: npt.DTypeLike = np.int64, given: float = GIVEN
    ) -> str:
        """An operand with the same contents in every variant: an initializer, or now and then an input."""
        array = array if isinstance(array, np.ndarray) else np.array(array, dtype)
        kind = "input" if self.chance(given) and self.parent is None else "constant"
        name = self.fresh()
        self.pending[name] = Value(name, [[array] * len(self.variants)] * (1 + SHADOWS), kind)
        return name

    def partner(self, value: Value, dtype: Any = None, narrower: bool = False) -> str:
        """Another operand that broadcasts with this one: a value, or a constant of some of its sizes."""
        dtype = np.dtype(dtype or value.dtype)
        if not self.chance(0.4):
            other = self.pick(lambda v: v.dtype == dtype and _broadcasts(value, v, narrower))
            if other is not None:
                return other.name
        shape = [1 if size is None or self.chance(0.25) else size for size in value.shape]
        shape = shape[self.integer(0, len(shape)) if self.chance(0.5) else 0 :]
        return self.constant(self.draw(dtype, shape), given=0.05)

    # ---- nodes
    def find(self, name: str) -> Value:
        return self.pending[name] if name in self.pending else self.values[name]

    def propose(
        self,
        op_type: str,
        inputs: Sequence[str],
        exact: bool = False,
        outputs: int | Sequence[bool] = 1,
        **attributes: Any,
    ) -> bool:
        """Adds a node if its results are sound in every track. ``exact`` operators round nothing; ``outputs`` is how
        many there are, or which of them are wanted."""
        wanted = [True] * outputs if isinstance(outputs, int) else list(outputs)
        names = [self.fresh() if want else "" for want in wanted]
        node = helper.make_node(op_type, list(inputs), names, name=f"{op_type}_{names[0] or names[-1]}", **attributes)
        try:
            tracks = self.compute(node, exact)
        except Exception:  # whatever an oracle has against a node: it is not taken
            tracks = None
        pending, self.pending = self.pending, {}
        if tracks is None:
            return False
        used = set(uses(node))
        for name, value in pending.items():
            if name in used:
                if value.kind == "input":
                    self.shapes[name] = value.truth[0].shape
                self.values[name] = value
                self.own.append(name)
        self.nodes.append(node)
        for name, track in zip([name for name in names if name], tracks, strict=True):
            self.values[name] = Value(name, track, "node")
            self.own.append(name)
        return True

    def compute(self, node: onnx.NodeProto, exact: bool) -> list[list[list[Array]]] | None:
        """The node's results, each in all tracks; None if they are not sound or the oracles differ."""
        operands = {name: self.find(name) for name in dict.fromkeys(uses(node))}
        names = [name for name in node.output if name]
        typed = {name: (value.dtype, [None] * value.rank) for name, value in operands.items()}
        model = model_of([node], typed, dict.fromkeys(names), opset=self.opset)
        model = shape_inference.infer_shapes(model, strict_mode=True, check_type=True)
        dtypes = [helper.tensor_dtype_to_np_dtype(o.type.tensor_type.elem_type) for o in model.graph.output]
        runtime = Runtime(model_of([node], typed, dict(zip(names, dtypes, strict=True)), opset=self.opset))
        reference = runtime if node.op_type in RUNTIME_ONLY else Reference(model)
        tracks: list[list[list[Array]]] = [[[] for _ in range(1 + SHADOWS)] for _ in names]
        rough = not exact and not all(coarse(a) for v in operands.values() for a in v.truth)
        for number in range(1 + SHADOWS):
            for k in range(len(self.variants)):
                feeds = {name: value.tracks[number][k] for name, value in operands.items()}
                if number and rough:
                    feeds = {name: shaken(array, self.noise) for name, array in feeds.items()}
                results = reference.run(feeds) or []
                for place, (array, dtype) in enumerate(zip(results, dtypes, strict=True)):
                    if array.dtype != dtype or array.size > 4 * LARGEST:
                        self.disputed[node.op_type] += array.dtype != dtype
                        return None
                    keep = exact or number == 0 or (coarse(tracks[place][0][k]) and not rough)
                    tracks[place][number].append(np.asarray(array if keep else shaken(array, self.noise)))
        if not all(sane(track) for track in tracks) or not self.agreed(node, runtime, operands, tracks):
            return None
        return tracks

    def agreed(
        self, node: onnx.NodeProto, runtime: Runtime, operands: dict[str, Value], tracks: list[list[list[Array]]]
    ) -> bool:
        """Whether ONNX Runtime, where it has the operator, says the same."""
        for k in range(len(self.variants)):
            try:
                results = runtime.run({name: value.truth[k] for name, value in operands.items()})
            except Exception:
                results = []
            if results is None:
                return node.op_type not in DOUBTFUL
            wrong = not results or any(difference(r, [t[k] for t in ts]) for r, ts in zip(results, tracks, strict=True))
            if wrong:
                self.disputed[node.op_type] += 1
                return False
        return True

    def step(self, calm: bool = False) -> bool:
        """Adds a node or a few; False if none was found in many attempts."""
        usable = [(weight, function) for weight, function, is_calm in STEPS if is_calm or not calm]
        weights = np.array([weight for weight, _ in usable])
        for _ in range(ATTEMPTS):
            function = usable[int(self.rng.choice(len(usable), p=weights / weights.sum()))][1]
            if function(self):
                return True
        return False

    def write(self, nodes: int) -> None:
        for dtype in (
            np.float32,
            self.choose([np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.int8]),
        ):
            self.input(dtype, self.dims(self.integer(1, 4)))
        while len(self.nodes) < nodes and self.step():
            pass

    def graph(self, outputs: Sequence[str]) -> onnx.GraphProto:
        """The body of a control flow node, with these of its values as outputs."""
        typed = [self.values[name] for name in outputs]
        return helper.make_graph(
            self.nodes,
            f"body{self.names[0]}",
            [],
            [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.dtype), None) for v in typed],
            [tensor_of(self.values[name]) for name in self.own if self.values[name].kind == "constant"],
        )


def tensor_of(value: Value) -> onnx.TensorProto:
    return numpy_helper.from_array(value.truth[0], value.name)


def uses(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those that its bodies capture among them."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            body = attribute.g
            made = {i.name for i in body.input} | {i.name for i in body.initializer}
            made |= {name for inner in body.node for name in inner.output}
            names += [name for inner in body.node for name in uses(inner) if name not in made]
            names += [o.name for o in body.output if o.name not in made]
    return names


def _broadcasts(value: Value, other: Value, narrower: bool) -> bool:
    if narrower and other.rank > value.rank:
        return False
    for a, b in zip(value.truth, other.truth, strict=True):
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return False
        if np.prod(shape) > LARGEST or (narrower and shape != a.shape):
            return False
    return True
