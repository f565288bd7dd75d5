"""Random graphs of common operators, with symbolic sizes, against onnx's reference implementation.

What is tested is what lies between the operators: fusion, views, layouts, memory reuse, several outputs, steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sardonyx.compiler import compile_model
from sardonyx.options import SessionOptions
from sardonyx.runtime.pool import team

Array = npt.NDArray[Any]
Shape = tuple[int | str, ...]
SIZES = [{"n": 3, "t": 5}, {"n": 1, "t": 1}, {"n": 2, "t": 33}, {"n": 0, "t": 4}]


class Writer:
    """Writes a random graph node by node; every value is a float tensor of a known symbolic shape."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.values: dict[str, Shape] = {"x": ("n", "t", 12), "y": ("n", "t", 12), "z": (12,), "p": ("n", 4, 6, 5)}
        self.inputs = dict(self.values)

    def pick(self, fits: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        names = [name for name, shape in self.values.items() if fits(shape)]
        # later values are likelier, so that graphs become deep
        return names[-1 - int(min(self.rng.exponential(2.5), len(names) - 1))] if names else None

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def emit(self, op_type: str, inputs: list[str], shape: Shape, **attributes: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        self.values[name] = shape

    def step(self) -> None:
        choices = [
            self.unary,
            self.binary,
            self.constant_operand,
            self.transpose,
            self.product,
            self.reduce,
            self.slice,
        ]
        choices += [self.concat, self.softmax, self.reshape, self.split, self.norm, self.convolution, self.pad]
        choices[int(self.rng.integers(len(choices)))]()

    def unary(self) -> None:
        name = self.pick()
        if name is not None:
            op_type = str(self.rng.choice(["Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Softplus", "Elu", "Erf"]))
            self.emit(op_type, [name], self.values[name])

    def binary(self) -> None:
        left = self.pick()
        right = self.pick(lambda shape: left is not None and shape == self.values[left])
        if left is not None and right is not None:
            self.emit(str(self.rng.choice(["Add", "Sub", "Mul", "Max", "Min"])), [left, right], self.values[left])

    def constant_operand(self) -> None:
        name = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int))
        if name is None:
            return
        last = self.values[name][-1]
        shape = [(last,), (1,), (), (1, last)][int(self.rng.integers(4))]
        if len(shape) > len(self.values[name]):
            return
        array = self.rng.standard_normal(shape).astype(np.float32)
        self.emit(str(self.rng.choice(["Add", "Mul", "Sub"])), [name, self.constant(array)], self.values[name])

    def transpose(self) -> None:
        name = self.pick(lambda shape: len(shape) > 1)
        if name is not None:
            perm = [int(p) for p in self.rng.permutation(len(self.values[name]))]
            self.emit("Transpose", [name], tuple(self.values[name][p] for p in perm), perm=perm)

    def product(self) -> None:
        name = self.pick(lambda shape: len(shape) > 1 and isinstance(shape[-1], int))
        if name is not None:
            columns = int(self.rng.choice([1, 7, 12, 20]))
            weight = self.rng.standard_normal((self.values[name][-1], columns)).astype(np.float32) / 4  # type: ignore[arg-type]
            self.emit("MatMul", [name, self.constant(weight)], (*self.values[name][:-1], columns))

    def reduce(self) -> None:
        name = self.pick(lambda shape: len(shape) > 1)
        if name is not None:
            axis = int(self.rng.integers(len(self.values[name])))
            shape = tuple(1 if k == axis else size for k, size in enumerate(self.values[name]))
            if self.values[name][axis] in ("n", "t"):
                return  # a mean of nothing is a matter of taste
            op_type = str(self.rng.choice(["ReduceMean", "ReduceMax", "ReduceSum"]))
            self.emit(op_type, [name, self.constant(np.array([axis]))], shape)

    def slice(self) -> None:
        name = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int) and shape[-1] > 2)
        if name is not None:
            size = int(self.values[name][-1])
            begin, end, step = [(1, size, 1), (0, size - 1, 2), (size - 1, -size - 1, -1)][int(self.rng.integers(3))]
            bounds = [self.constant(np.array([v])) for v in (begin, end, -1, step)]
            self.emit(
                "Slice",
                [name, *bounds],
                (*self.values[name][:-1], len(range(size)[begin : None if end < 0 else end : step])),
            )

    def concat(self) -> None:
        left = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int))
        if left is None:
            return
        shape = self.values[left]
        right = self.pick(
            lambda other: other[:-1] == shape[:-1] and len(other) == len(shape) and isinstance(other[-1], int)
        )
        if right is not None:
            total = int(shape[-1]) + int(self.values[right][-1])
            self.emit("Concat", [left, right], (*shape[:-1], total), axis=-1)

    def softmax(self) -> None:
        name = self.pick(lambda shape: bool(shape))
        if name is not None:
            axis = int(self.rng.integers(len(self.values[name])))
            if self.values[name][axis] != "n":
                self.emit("Softmax", [name], self.values[name], axis=axis)

    def reshape(self) -> None:
        name = self.pick(lambda shape: len(shape) > 1 and isinstance(shape[-1], int) and shape[-1] % 4 == 0)
        if name is not None:
            shape = self.values[name]
            target = np.array([*[0] * (len(shape) - 1), 4, int(shape[-1]) // 4])
            self.emit("Reshape", [name, self.constant(target)], (*shape[:-1], 4, int(shape[-1]) // 4))

    def split(self) -> None:
        name = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int) and shape[-1] > 2)
        if name is not None:
            size = int(self.values[name][-1])
            parts = np.array([1, size - 1])
            first, second = f"v{len(self.nodes)}", f"v{len(self.nodes)}b"
            self.nodes.append(helper.make_node("Split", [name, self.constant(parts)], [first, second], axis=-1))
            self.values[first] = (*self.values[name][:-1], 1)
            self.values[second] = (*self.values[name][:-1], size - 1)

    def norm(self) -> None:
        name = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int) and shape[-1] > 3)
        if name is not None:
            scale = self.constant(self.rng.standard_normal(self.values[name][-1]).astype(np.float32))
            self.emit("LayerNormalization", [name, scale], self.values[name], axis=-1, epsilon=0.01)

    def convolution(self) -> None:
        name = self.pick(lambda shape: len(shape) == 4 and isinstance(shape[1], int))
        if name is not None and shape_is_image(self.values[name]):
            shape = self.values[name]
            channels = int(self.rng.choice([3, 8, 17]))
            weight = self.rng.standard_normal((channels, int(shape[1]), 3, 3)).astype(np.float32) / 6
            self.emit("Conv", [name, self.constant(weight)], (shape[0], channels, *shape[2:]), pads=[1, 1, 1, 1])

    def pad(self) -> None:
        name = self.pick(lambda shape: bool(shape) and isinstance(shape[-1], int))
        if name is not None:
            shape = self.values[name]
            pads = np.zeros(2 * len(shape), np.int64)
            pads[len(shape) - 1], pads[-1] = 1, 2
            value = self.constant(np.array(1.5, np.float32))
            self.emit("Pad", [name, self.constant(pads), value], (*shape[:-1], int(shape[-1]) + 3))

    def model(self) -> onnx.ModelProto:
        used = {name for node in self.nodes for name in node.input}
        outputs = [name for name in self.values if name not in used and name not in self.inputs]
        inner = [name for name in self.values if name in used and name not in self.inputs]
        outputs += [str(name) for name in self.rng.permutation(inner)[:1]]
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def shape_is_image(shape: Shape) -> bool:
    return all(isinstance(size, int) and size >= 1 for size in shape[1:])


def check_graph(seed: int, nodes: int) -> None:
    """Compiles a random graph and holds runs at several sizes, on one thread and two, against the reference."""
    writer = Writer(seed)
    while len(writer.nodes) < nodes:
        writer.step()
    proto = writer.model()
    options = SessionOptions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        program = compile_model(proto, options)
    reference = ReferenceEvaluator(proto)
    rng = np.random.default_rng(seed)
    for sizes in SIZES:
        feeds = {
            name: rng.standard_normal([sizes.get(s, s) if isinstance(s, str) else s for s in shape]).astype(np.float32)
            for name, shape in writer.inputs.items()
        }
        expected = reference.run(None, feeds)
        results = []
        for threads in (1, 2):
            program.load(team(threads), 1 << 32)
            results.append(program.run([feeds[value.name] for value in program.inputs]))
        for spec, one, two, want in zip(program.outputs, *results, expected, strict=True):
            assert one.shape == want.shape, (spec.name, sizes)
            np.testing.assert_allclose(one, want, rtol=2e-4, atol=2e-4, err_msg=f"{spec.name} {sizes}")
            np.testing.assert_array_equal(one, two, err_msg=f"{spec.name}: 1 and 2 threads differ")
