"""The way back: nodes of a newer version of an operator in the form of an older one.

Each function undoes the step of ``graph/upgrade`` of the same operator and version, for nodes that the older version
can express; it raises CannotExpress with the reason for others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import onnx

__all__ = ["STEPS_BACK", "CannotExpress", "Surroundings"]


class CannotExpress(Exception):
    """What an older version has no words for."""


@dataclass
class Surroundings:
    """What is known around a node: constants by name, ranks of values by name, and the inputs that became
    attributes."""

    constants: Mapping[str, npt.NDArray[Any]]
    ranks: Mapping[str, int]
    taken: set[str] = field(default_factory=set)

    def constant(self, node: onnx.NodeProto, index: int, what: str) -> npt.NDArray[Any] | None:
        """The constant that an input is, which is taken from the node; None for one that is left out."""
        name = node.input[index] if index < len(node.input) else ""
        if not name:
            return None
        if name not in self.constants:
            raise CannotExpress(f"{what} ({name}) is computed, but was an attribute then")
        self.taken.add(name)
        return self.constants[name]


StepBack = Callable[[onnx.NodeProto, Surroundings], None]
STEPS_BACK: dict[tuple[str, int], StepBack] = {}


def _back(*names: str, before: int) -> Callable[[StepBack], StepBack]:
    def register(step: StepBack) -> StepBack:
        STEPS_BACK.update(dict.fromkeys(((name, before) for name in names), step))
        return step

    return register


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def _set(node: onnx.NodeProto, name: str, value: Any) -> None:
    """Sets an attribute, or removes it with None."""
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if value is not None:
        node.attribute.append(onnx.helper.make_attribute(name, value))


def _keep_inputs(node: onnx.NodeProto, count: int) -> None:
    del node.input[count:]


@_back("ReduceSum", "Squeeze", "Unsqueeze", before=13)
@_back("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", before=18)
@_back("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare", before=18)
def _axes(node: onnx.NodeProto, around: Surroundings) -> None:
    axes = around.constant(node, 1, "the input axes")
    if (axes is None or not axes.size) and _attribute(node, "noop_with_empty_axes", 0):
        raise CannotExpress("without axes it would reduce all of them")
    _set(node, "noop_with_empty_axes", None)
    if axes is not None and axes.size:
        _set(node, "axes", axes.tolist())
    _keep_inputs(node, 1)


@_back("Split", before=18)
def _split_count(node: onnx.NodeProto, around: Surroundings) -> None:
    """Equal parts are implied by the number of outputs."""
    _set(node, "num_outputs", None)


@_back("Split", before=13)
def _split(node: onnx.NodeProto, around: Surroundings) -> None:
    sizes = around.constant(node, 1, "the input split")
    _set(node, "split", None if sizes is None else sizes.tolist())
    _keep_inputs(node, 1)


@_back("Softmax", "LogSoftmax", "Hardmax", before=13)
def _softmax(node: onnx.NodeProto, around: Surroundings) -> None:
    """Along the last axis both versions are the same, once it is counted from the front."""
    axis, rank = _attribute(node, "axis", -1), around.ranks.get(node.input[0])
    if rank is None:
        raise CannotExpress("the rank of its input is not known")
    if axis not in (-1, rank - 1):
        raise CannotExpress(f"it normalises along axis {axis} of {rank}, only the last one meant the same then")
    _set(node, "axis", rank - 1)


@_back("BatchNormalization", before=14)
def _batch_norm(node: onnx.NodeProto, around: Surroundings) -> None:
    if _attribute(node, "training_mode", 0) or len([name for name in node.output if name]) > 1:
        raise CannotExpress("it is in training mode")
    _set(node, "training_mode", None)


@_back("BatchNormalization", before=9)
def _per_channel(node: onnx.NodeProto, around: Surroundings) -> None:
    """Statistics of each channel were what an absent ``spatial`` meant."""


@_back("Dropout", before=12)
def _dropout(node: onnx.NodeProto, around: Surroundings) -> None:
    training = around.constant(node, 2, "the input training_mode")
    if training is not None and training.any():
        raise CannotExpress("it is in training mode")
    ratio = around.constant(node, 1, "the input ratio")
    _set(node, "ratio", 0.5 if ratio is None else float(ratio))
    _set(node, "seed", None)
    _keep_inputs(node, 1)


@_back("Clip", before=11)
def _clip(node: onnx.NodeProto, around: Surroundings) -> None:
    for index, name in ((1, "min"), (2, "max")):
        bound = around.constant(node, index, f"the input {name}")
        if bound is not None:
            _set(node, name, float(bound))
    _keep_inputs(node, 1)


@_back("Pad", before=11)
def _pad(node: onnx.NodeProto, around: Surroundings) -> None:
    pads, value = (around.constant(node, index, what) for index, what in ((1, "the input pads"), (2, "the value")))
    if pads is None or len(node.input) > 3:
        raise CannotExpress("it names axes")
    _set(node, "pads", pads.tolist())
    _set(node, "value", 0.0 if value is None else float(value))
    _keep_inputs(node, 1)


@_back("Slice", before=10)
def _slice(node: onnx.NodeProto, around: Surroundings) -> None:
    names = ("starts", "ends", "axes", "steps")
    found = {name: around.constant(node, index + 1, f"the input {name}") for index, name in enumerate(names)}
    steps = found.pop("steps")
    if steps is not None and (steps != 1).any():
        raise CannotExpress("it has steps")
    for name, values in found.items():
        _set(node, name, None if values is None else values.tolist())
    _keep_inputs(node, 1)


@_back("TopK", before=10)
def _topk(node: onnx.NodeProto, around: Surroundings) -> None:
    count = around.constant(node, 1, "the input k")
    if count is None or not _attribute(node, "largest", 1) or not _attribute(node, "sorted", 1):
        raise CannotExpress("it gives the smallest elements, or unsorted ones")
    _set(node, "k", int(count.reshape(-1)[0]))
    _keep_inputs(node, 1)


@_back("GridSample", before=20)
def _grid_sample(node: onnx.NodeProto, around: Surroundings) -> None:
    mode = _attribute(node, "mode", b"linear").decode()
    _set(node, "mode", {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))
