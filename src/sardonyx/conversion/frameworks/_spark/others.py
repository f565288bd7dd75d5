"""Stages that onnxmltools converts, in float32: a model of one stage, put into the graph."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, compose

from sardonyx.conversion.frameworks._spark.columns import called, inputs_of
from sardonyx.conversion.frameworks._spark.graph import INTEGERS, NUMBERS, Graph
from sardonyx.errors import ConversionError

__all__ = ["by_onnxmltools"]

_OPSET = 15
_WIDTHS = 2


def by_onnxmltools(graph: Graph, stage: Any, spark: Any) -> None:
    """Adds the columns of a stage; raises ConversionError naming it where onnxmltools has no converter either."""
    made = _converted(graph, stage, spark)
    prefix = f"{stage.uid}_"
    model = compose.add_prefix(onnx.version_converter.convert_version(made, 20), prefix)
    for value, source in zip(model.graph.input, inputs_of(stage), strict=True):
        narrow = graph.emit("Cast", [graph.numbers(source).tensor], to=TensorProto.FLOAT)
        graph.node("Identity", [narrow], [value.name])
    graph.nodes.extend(model.graph.node)
    graph.constants.extend(model.graph.initializer)
    for value, name in zip(model.graph.output, [o.name for o in made.graph.output], strict=True):
        kind = value.type.tensor_type.elem_type
        integers = kind in (TensorProto.INT64, TensorProto.INT32)
        tensor = graph.emit("Cast", [value.name], to=TensorProto.INT64 if integers else TensorProto.DOUBLE)
        dims = value.type.tensor_type.shape.dim
        width = dims[1].dim_value if len(dims) == _WIDTHS else 1
        graph.add(name, tensor, max(width, 1), INTEGERS if integers else NUMBERS)
    graph.exact = False
    graph.notes.append(f"{called(stage)} computes in float32: converted by onnxmltools")


def _converted(graph: Graph, stage: Any, spark: Any) -> onnx.ModelProto:
    from onnxmltools import convert_sparkml
    from onnxmltools.convert.common.data_types import FloatTensorType
    from onnxmltools.convert.sparkml.ops_input_output import io_name_map
    from onnxmltools.convert.sparkml.ops_names import sparkml_operator_name_map

    if sparkml_operator_name_map.get(type(stage)) not in io_name_map:
        raise ConversionError(
            f"{called(stage)} has no converter; replace that stage, or convert the stages on both sides "
            "of it by themselves"
        )
    types = [(name, FloatTensorType([None, graph.numbers(name).width])) for name in inputs_of(stage)]
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:  # onnxmltools leaves what it saves there
        tempfile.tempdir = str(Path(folder))
        try:
            made: onnx.ModelProto = convert_sparkml(stage, "stage", types, target_opset=_OPSET, spark_session=spark)
        except Exception as error:  # whatever its converters raise
            raise ConversionError(f"{called(stage)}: onnxmltools cannot convert it: {error}") from error
        finally:
            tempfile.tempdir = before
    return made
