"""Declared sizes: symbolic ones fixed, and a batch that an exporter fixed made symbolic again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from sardonyx.conversion.frameworks._onnx.loading import drop_unread
from sardonyx.errors import ConversionError, SardonyxError
from sardonyx.graph.order import node_label
from sardonyx.tools.onnx_model_utils import fix_output_shapes, make_dim_param_fixed, make_input_shape_fixed
from sardonyx.tools.symbolic_shape_infer import SymbolicShapeInference

__all__ = ["OpenBatch", "fix_sizes", "open_batch"]

_NAME = "batch"
_UNKNOWN = "unk__"
_RECURRENT = ("LSTM", "GRU", "RNN")

Run = Callable[[Mapping[str, npt.NDArray[Any]]], Mapping[str, Any]]
Shapes = dict[str, list[int | str]]


def fix_sizes(model: onnx.ModelProto, sizes: Mapping[str, Any]) -> None:
    """Fixes symbolic sizes by name, or all sizes of an input with a list, in place.

    Raises ConversionError for a name that is neither and for sizes that contradict the model.
    """
    inputs = {value.name: value for value in model.graph.input}
    symbols = {d.dim_param for v in model.graph.input for d in v.type.tensor_type.shape.dim if d.dim_param}
    for name, size in sizes.items():
        wanted = [size] if isinstance(size, int) else list(size)
        if not all(isinstance(one, int) and one > 0 for one in wanted):
            raise ConversionError(f"sizes: {name} = {size} is neither a size nor a list of sizes, each 1 or more")
        if isinstance(size, int) and name in symbols:
            make_dim_param_fixed(model.graph, name, size)
        elif not isinstance(size, int) and name in inputs:
            try:
                make_input_shape_fixed(model.graph, name, wanted)
            except ValueError as error:
                raise ConversionError(f"sizes: {error}") from error
        else:
            known = f"symbolic sizes {sorted(symbols)}, inputs {sorted(inputs)} (which take a list)"
            raise ConversionError(f"sizes: {name} is unknown; the model has {known}")
    try:
        fix_output_shapes(model)
    except SardonyxError as error:
        raise ConversionError(f"the model does not take sizes {dict(sizes)}: {error}") from error


@dataclass(frozen=True)
class OpenBatch:
    """Where the batch is, by input and by output, and the number that the source fixes it at. ``certain`` says that the
    sizes of all values are known, and that no node takes the batch and loses it."""

    size: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    certain: bool

    def in_parts(self, run: Run) -> Run:
        """The source's answers for any batch: run with its own batch, as often as needed, the last part filled up
        with copies of its last row."""

        def whole(feeds: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, Any]:
            name, axis = next(iter(self.inputs.items()))
            rows = feeds[name].shape[axis]
            parts = []
            for begin in range(0, rows, self.size):
                places = np.minimum(np.arange(begin, begin + self.size), rows - 1)
                part = {n: a.take(places, self.inputs[n]) if n in self.inputs else a for n, a in feeds.items()}
                parts.append(run(part))
            return {name: self._joined([part[name] for part in parts], name, rows) for name in parts[0]}

        return whole

    def _joined(self, parts: Sequence[Any], name: str, rows: int) -> Any:
        axis = self.outputs.get(name)
        if axis is None:
            return parts[0]
        return np.concatenate(parts, axis).take(np.arange(rows), axis)


def open_batch(model: onnx.ModelProto, axes: Mapping[str, int] | None = None) -> OpenBatch | None:
    """Makes the fixed batch of a model the symbolic size ``batch``, in place; None where no input fixes one.

    ``axes`` says where it is in each input that has one; by default it is the leading size of every input. Constants
    with the batch in them (target shapes, initial states) are replaced by what follows the input. Raises
    ConversionError naming the node that fixes the batch in another way.
    """
    size, inputs = _fixed_batch(model, axes)
    if not inputs:
        return None
    fixed = _inferred(model)
    for value in model.graph.input:
        if value.name in inputs:
            value.type.tensor_type.shape.dim[inputs[value.name]].dim_param = _NAME
    _forget_declared(model.graph)
    _open_states(model, inputs)
    shapes = _inferred(model)
    waiting = [node for node in model.graph.node if node.op_type in ("Reshape", "Expand")]
    while (done := next((n for n in waiting if _open_shape(model, n, size, inputs, fixed, shapes)), None)) is not None:
        waiting = [node for node in waiting if node is not done]
        shapes = _inferred(model)
    drop_unread(model)
    return OpenBatch(size, inputs, _outputs(model, shapes), _is_certain(model, shapes))


def _fixed_batch(model: onnx.ModelProto, axes: Mapping[str, int] | None) -> tuple[int, dict[str, int]]:
    constants = {tensor.name for tensor in model.graph.initializer}
    found, sizes = {}, {}
    for value in model.graph.input:
        dims, axis = value.type.tensor_type.shape.dim, 0 if axes is None else axes.get(value.name, -1)
        if value.name not in constants and 0 <= axis < len(dims) and dims[axis].dim_value > 0:
            found[value.name], sizes[value.name] = axis, dims[axis].dim_value
    if len(set(sizes.values())) > 1:
        raise ConversionError(
            f"the inputs have different leading sizes ({', '.join(f'{n}: {s}' for n, s in sizes.items())}), so it is "
            "not known which of them is the batch: say where it is with dynamic_batch={'input': axis, ...}"
        )
    return next(iter(sizes.values()), 1), found


def _inferred(model: onnx.ModelProto) -> Shapes:
    try:
        graph = SymbolicShapeInference.infer_shapes(model).graph
    except SardonyxError as error:
        text = str(error).removeprefix("<model>: ")
        raise ConversionError(f"the batch cannot be made symbolic: {text}") from error
    values = (*graph.input, *graph.output, *graph.value_info)
    found: Shapes = {t.name: list(t.dims) for t in graph.initializer}
    for value in values:
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    return found


def _forget_declared(graph: onnx.GraphProto) -> None:
    del graph.value_info[:]
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _has_batch(shape: Sequence[int | str] | None) -> bool:
    return any(isinstance(size, str) and _NAME in size for size in shape or ())


def _constant(model: onnx.ModelProto, name: str) -> npt.NDArray[Any] | None:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] == name and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
    return None


def _add_constant(model: onnx.ModelProto, array: npt.NDArray[Any], near: str) -> str:
    names = {t.name for t in model.graph.initializer} | {o for n in model.graph.node for o in n.output}
    name = next(n for i in range(len(names) + 1) if (n := f"{near}_batch{i or ''}") not in names)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def _open_shape(
    model: onnx.ModelProto, node: onnx.NodeProto, size: int, inputs: Mapping[str, int], fixed: Shapes, shapes: Shapes
) -> bool:
    """Replaces the constant shape of a Reshape or Expand that holds the batch; whether it did."""
    if node.op_type not in ("Reshape", "Expand") or len(node.input) < 2:
        return False
    target = _constant(model, node.input[1])
    if target is None or target.ndim != 1 or not target.size:
        return False
    if node.op_type == "Reshape":
        source = shapes.get(node.input[0])
        if source is None or not _has_batch(source) or 0 in target or _says_batch(source, target):
            return False
        made = _reshaped(node, target, size, fixed, source)
        if made is not None:
            node.input[1] = _add_constant(model, made, node.output[0])
        return made is not None
    if _has_batch(shapes.get(node.output[0])) or size not in target or not _meets_batch(model, node, shapes):
        return False
    shape = target.tolist()
    node.input[1] = _shape_of_input(model, node, node.output[0], shape, shape.index(size), inputs)
    return True


def _says_batch(source: Sequence[int | str], target: npt.NDArray[Any]) -> bool:
    """Whether the -1 of a shape is the batch: what is in front of it are the numbers in front of the batch."""
    places = np.flatnonzero(target == -1)
    first = next(axis for axis, one in enumerate(source) if _has_batch([one]))
    return len(places) == 1 and source[:first] == target[: places[0]].tolist()


def _reshaped(
    node: onnx.NodeProto, target: npt.NDArray[Any], size: int, fixed: Shapes, source: Sequence[int | str]
) -> npt.NDArray[np.int64] | None:
    """The shape with -1 in the place of the batch; a -1 that it has already becomes the number that it stood for."""
    made = target.astype(np.int64).copy()
    known = fixed.get(node.output[0])
    for axis in np.flatnonzero(made == -1):
        if known is None or not isinstance(known[axis], int):
            return None
        made[axis] = known[axis]
    first = next(axis for axis, one in enumerate(source) if _has_batch([one]))
    if not all(isinstance(one, int) for one in source[:first]):
        return None
    before = int(np.prod([int(one) for one in source[:first]]))
    whole = fixed.get(node.input[0], list(source))[first]
    within = whole // size if isinstance(whole, int) else 1
    made[_place_of_batch(node, made.tolist(), (before, before * within), size)] = -1
    return made


def _place_of_batch(node: onnx.NodeProto, target: list[int], fronts: tuple[int, int], size: int) -> int:
    """The axis of a target shape that takes up the batch, in front of which the source has ``fronts`` elements per
    sample: the one number if it comes first within its axis, the other if it comes last. With a batch of 1 the numbers
    only tell where it comes first, or has an axis of its own."""
    ends = np.cumprod(target).tolist()
    starts = [1, *ends[:-1]]
    before = fronts[0]
    own = [axis for axis, start in enumerate(starts) if start in fronts and target[axis] == size]
    if own and (size > 1 or before == 1 or len(own) == 1):
        return own[0]
    if size > 1:
        inside = [a for a in range(len(target)) if starts[a] <= before and ends[a] >= before * size]
        inside = [a for a in inside if before % starts[a] == 0 and ends[a] % (before * size) == 0]
        if inside:
            return inside[0]
    elif before == 1:
        return 0
    raise ConversionError(
        f"the batch cannot be made symbolic: the shape {target} of {node_label(node)} does not tell where the batch of "
        f"{size} is; export the model with a batch of 2 or more, or with a symbolic one"
    )


def _meets_batch(model: onnx.ModelProto, node: onnx.NodeProto, shapes: Shapes) -> bool:
    """Whether what an Expand gives is joined with values that have the batch."""
    readers = [n for n in model.graph.node if node.output[0] in n.input]
    return any(_has_batch(shapes.get(name)) for reader in readers for name in reader.input)


def _shape_of_input(
    model: onnx.ModelProto, node: onnx.NodeProto, stem: str, shape: Sequence[int], place: int, inputs: Mapping[str, int]
) -> str:
    """The name of a shape that has the batch of an input in one place, computed in front of a node."""
    name, axis = next(iter(inputs.items()))
    index = _add_constant(model, np.array([axis], np.int64), f"{stem}_axis")
    before, after = (np.array(part, np.int64) for part in (shape[:place], shape[place + 1 :]))
    parts = [_add_constant(model, part, f"{stem}_sizes") if part.size else "" for part in (before, after)]
    sizes, rows, made = (f"{stem}_{what}" for what in ("input_shape", "rows", "shape"))
    nodes = [
        helper.make_node("Shape", [name], [sizes], sizes),
        helper.make_node("Gather", [sizes, index], [rows], rows, axis=0),
        helper.make_node("Concat", [part for part in (parts[0], rows, parts[1]) if part], [made], made, axis=0),
    ]
    _insert(model, node, nodes)
    return made


def _insert(model: onnx.ModelProto, node: onnx.NodeProto, made: Sequence[onnx.NodeProto]) -> None:
    place = next(i for i, one in enumerate(model.graph.node) if one.output[:] == node.output[:])
    for offset, one in enumerate(made):
        model.graph.node.insert(place + offset, one)


def _open_states(model: onnx.ModelProto, inputs: Mapping[str, int]) -> None:
    """Constant initial states of recurrent layers hold the batch: zeros are left out, rows that are all the same are
    repeated as often as needed."""
    for node in [one for one in model.graph.node if one.op_type in _RECURRENT]:
        axis = 0 if any(attribute.name == "layout" and attribute.i for attribute in node.attribute) else 1
        for index in (5, 6):
            state = _constant(model, node.input[index]) if index < len(node.input) and node.input[index] else None
            if state is None or state.ndim != 3:
                continue
            if not state.any():
                node.input[index] = ""
                continue
            first = state.take([0], axis)
            if (state != first).any():
                raise ConversionError(
                    f"the batch cannot be made symbolic: {node_label(node)} begins each row with another constant state"
                )
            shared = _add_constant(model, first, node.input[index])
            shape = _shape_of_input(model, node, shared, first.shape, axis, inputs)
            _insert(model, node, [helper.make_node("Expand", [shared, shape], [f"{shared}_all"], f"{shared}_all")])
            node.input[index] = f"{shared}_all"
        while node.input and not node.input[-1]:
            node.input.pop()


def _outputs(model: onnx.ModelProto, shapes: Shapes) -> dict[str, int]:
    """Declares the outputs' sizes; the axis of each that is the batch. Raises ConversionError where it is lost."""
    found = {}
    for value in model.graph.output:
        shape = shapes.get(value.name)
        if shape is None:
            continue
        element = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, element, shape))
        if _NAME in shape:
            found[value.name] = shape.index(_NAME)
    if not found:
        raise ConversionError(f"the batch cannot be made symbolic: {_where_lost(model, shapes)}")
    return found


def _is_certain(model: onnx.ModelProto, shapes: Shapes) -> bool:
    for node in model.graph.node:
        made = [shapes.get(name) for name in node.output if name]
        if any(shape is None or any(_UNKNOWN in str(size) for size in shape) for shape in made):
            return False
        takes = any(_has_batch(shapes.get(name)) for name in node.input)
        if takes and node.op_type != "Shape" and not any(map(_has_batch, made)):
            return False
    return True


def _where_lost(model: onnx.ModelProto, shapes: Shapes) -> str:
    for node in model.graph.node:
        into = [name for name in node.input if _has_batch(shapes.get(name))]
        if into and not any(_has_batch(shapes.get(name)) for name in node.output) and node.op_type != "Shape":
            known = shapes.get(node.output[0])
            return f"{node_label(node)} takes {shapes[into[0]]} and gives {known if known else 'an unknown shape'}"
    return "no output has a size that depends on it"
