"""Changes of a model's declared sizes, and its optimised form."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx

from sardonyx.compiler.build import optimised_model
from sardonyx.compiler.saving import save_model
from sardonyx.enums import GraphOptimizationLevel
from sardonyx.errors import InvalidModelError
from sardonyx.options import SessionOptions
from sardonyx.tools.symbolic_shape_infer import SymbolicShapeInference

__all__ = [
    "fix_output_shapes",
    "get_optimization_level",
    "is_fixed_size_tensor",
    "load_model",
    "make_dim_param_fixed",
    "make_input_shape_fixed",
    "optimize_model",
]

_LEVELS = {
    "disable": GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "layout": GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    "all": GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def load_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """A model from a file; raises FileNotFoundError, or InvalidModelError for a file that is none."""
    try:
        return onnx.load(Path(path).resolve(strict=True))
    except FileNotFoundError:
        raise
    except Exception as error:  # protobuf's DecodeError and onnx's checks of external data
        raise InvalidModelError(f"{os.fspath(path)}: {error}") from error


def make_dim_param_fixed(graph: onnx.GraphProto, param_name: str, value: int) -> None:
    """Replaces a symbolic size by a number wherever the graph, or one inside of it, declares a value of that size."""

    def fix(dim: onnx.TensorShapeProto.Dimension) -> None:
        if dim.HasField("dim_param") and dim.dim_param == param_name:
            dim.dim_value = value

    _for_each_dim(graph, fix)


def make_input_shape_fixed(graph: onnx.GraphProto, input_name: str, fixed_shape: Sequence[int]) -> None:
    """Gives an input fixed sizes; a symbolic size that it had becomes that number everywhere.

    Raises ValueError for an input that is not there or no tensor, another rank, or a size that is fixed already.
    """
    _for_each_dim(graph, _forget_negative)
    for value in graph.input:
        if value.name == input_name:
            break
    else:
        names = ",".join(value.name for value in graph.input)
        raise ValueError(f"Input {input_name} was not found in graph inputs. Valid input names are: {names}")
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"Input {input_name} is not a tensor")
    dims = value.type.tensor_type.shape.dim
    if len(dims) != len(fixed_shape):
        raise ValueError(f"Rank mismatch. Existing:{len(dims)} Replacement:{len(fixed_shape)}")
    for axis, (dim, size) in enumerate(zip(dims, fixed_shape, strict=True)):
        if dim.HasField("dim_value") and dim.dim_value != size:
            raise ValueError(f"Can't replace existing fixed size of {dim.dim_value} with {size} for dimension {axis}")
        if dim.HasField("dim_param"):
            make_dim_param_fixed(graph, dim.dim_param, size)
        dim.dim_value = size


def fix_output_shapes(model: onnx.ModelProto) -> None:
    """Declares the sizes of the outputs where they follow from those of the inputs; raises InvalidModelError."""
    inferred = SymbolicShapeInference.infer_shapes(model)
    for output, known in zip(model.graph.output, inferred.graph.output, strict=True):
        if not is_fixed_size_tensor(output) and is_fixed_size_tensor(known):
            output.type.tensor_type.shape.CopyFrom(known.type.tensor_type.shape)


def is_fixed_size_tensor(value: onnx.ValueInfoProto) -> bool:
    """Whether a value is declared as a tensor of which every size is a number."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return False
    return all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)


def get_optimization_level(level: str) -> GraphOptimizationLevel:
    """The level of a name: disable, basic, extended, layout or all; raises ValueError for another."""
    if level not in _LEVELS:
        raise ValueError(f"Invalid optimization level of {level}: expected one of {', '.join(_LEVELS)}")
    return _LEVELS[level]


def optimize_model(
    model_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_BASIC,
    log_level: int = 3,
) -> None:
    """Writes a model as the passes of a level leave it, in the newest operator set, without compiling it.

    ``log_level`` is accepted; there is nothing to say. Raises InvalidModelError or UnsupportedOpError.
    """
    options = SessionOptions(graph_optimization_level=level)
    save_model(optimised_model(model_path, options), output_path)


def _for_each_dim(graph: onnx.GraphProto, action: Callable[[onnx.TensorShapeProto.Dimension], None]) -> None:
    for value in _declared(graph):
        if value.type.HasField("tensor_type"):
            for dim in value.type.tensor_type.shape.dim:
                action(dim)


def _declared(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from (*graph.input, *graph.output, *graph.value_info)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _declared(inner)


def _forget_negative(dim: onnx.TensorShapeProto.Dimension) -> None:
    """Exporters write -1 for an unknown size."""
    if dim.HasField("dim_value") and dim.dim_value < 0:
        dim.Clear()
