"""``python -m sardonyx.tools.symbolic_shape_infer``: declares the types and sizes of all values of a model.

Sizes are the compiler's own symbolic integers: names of the inputs' sizes, numbers, arithmetic of both
(``2*batch + 1``), and ``unk__N`` for a size that depends on data.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import onnx

from sardonyx.graph.info import TensorInfo
from sardonyx.graph.reader import read_model
from sardonyx.ops.inference import infer_graph
from sardonyx.ops.registry import foreign_operators
from sardonyx.passes.pipeline import optimise
from sardonyx.symbols import Dim

__all__ = ["SymbolicShapeInference", "main"]

_log = logging.getLogger(__name__)
_FRESH = re.compile(r'"[^"]*#(\d+)"')
_RESERVED = re.compile(r"\b_([disv]\d+)\b")


class SymbolicShapeInference:
    """ONNX Runtime's name for the inference."""

    @staticmethod
    def infer_shapes(
        in_mp: onnx.ModelProto,
        int_max: int = 2**31 - 1,
        auto_merge: bool = False,
        guess_output_rank: bool = False,
        verbose: int = 0,
    ) -> onnx.ModelProto:
        """A copy of a model with a ``value_info`` for every value of the main graph whose type is known.

        Sizes that the outputs do not declare are filled in. ``int_max``, ``auto_merge`` and ``guess_output_rank`` are
        accepted: sizes are exact and never guessed. ``verbose`` above 0 logs the values that stay unknown. Raises
        InvalidModelError for a model that contradicts itself and UnsupportedOpError for unknown operators.
        """
        infos = _infos(in_mp)
        made = onnx.ModelProto()
        made.CopyFrom(in_mp)
        graph = made.graph
        outputs = {value.name for value in graph.output}
        names = [name for node in graph.node for name in node.output if name and name not in outputs]
        described = [onnx.ValueInfoProto(name=name) for name in names if name in infos]
        kept = [value for value in graph.value_info if value.name not in infos]
        del graph.value_info[:]
        for value in (*described, *graph.output):
            if value.name in infos:
                _declare(value, infos[value.name])
        graph.value_info.extend([*kept, *described])
        unknown = [name for name in (*names, *outputs) if name not in infos or infos[name].shape is None]
        if verbose and unknown:
            _log.warning("the sizes of %d values are not known: %s", len(unknown), ", ".join(unknown))
        return made


def _infos(proto: onnx.ModelProto) -> dict[str, TensorInfo]:
    """What inference knows of each value by name: of the graph as it is, and with composite operators expanded."""
    found: dict[str, TensorInfo] = {}
    for expanded in (False, True):
        model = read_model(proto, custom_ops=foreign_operators())
        if expanded:
            optimise(model, level=0)
        for value, info in infer_graph(model.graph).values.items():
            known = found.get(value.name or "")
            if info.dtype is not None and (known is None or known.shape is None):
                found[value.name or ""] = info
    return found


def _declare(value: onnx.ValueInfoProto, info: TensorInfo) -> None:
    if info.dtype is None or value.type.WhichOneof("value") not in (None, "tensor_type"):
        return
    tensor = value.type.tensor_type
    tensor.elem_type = info.dtype.onnx
    if info.shape is None:
        return
    known = tensor.shape.dim if tensor.HasField("shape") and len(tensor.shape.dim) == len(info.shape) else None
    sizes = [
        dim if dim is not None and dim.WhichOneof("value") and not isinstance(size, int) else _dimension(size)
        for dim, size in zip(known or [None] * len(info.shape), info.shape, strict=True)
    ]
    shape = onnx.TensorShapeProto(dim=sizes)
    tensor.shape.CopyFrom(shape)


def _dimension(size: Dim) -> onnx.TensorShapeProto.Dimension:
    if isinstance(size, int):
        return onnx.TensorShapeProto.Dimension(dim_value=size)
    text = _RESERVED.sub(r"\1", _FRESH.sub(r"unk__\1", str(size)))
    return onnx.TensorShapeProto.Dimension(
        dim_param=text.removeprefix('"').removesuffix('"') if text.count('"') == 2 else text
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads a model, infers, writes it."""
    parser = argparse.ArgumentParser(
        "python -m sardonyx.tools.symbolic_shape_infer", description="Declare the types and sizes of a model's values."
    )
    parser.add_argument("--input", required=True, help="The input model file")
    parser.add_argument("--output", help="The output model file")
    parser.add_argument("--auto_merge", action="store_true", help="Accepted; sizes are never guessed")
    parser.add_argument("--int_max", type=int, default=2**31 - 1, help="Accepted; sizes are exact")
    parser.add_argument("--guess_output_rank", action="store_true", help="Accepted; sizes are never guessed")
    parser.add_argument("--verbose", type=int, default=0, help="Above 0: names the values that stay unknown")
    parser.add_argument("--save_as_external_data", action="store_true", help="Write the weights beside the model")
    parser.add_argument("--all_tensors_to_one_file", action="store_true", help="Write the weights into one file")
    parser.add_argument("--external_data_location", default="./", help="The file of the weights")
    parser.add_argument("--external_data_size_threshold", type=int, default=1024, help="In bytes")
    given = parser.parse_args(arguments)
    model = SymbolicShapeInference.infer_shapes(onnx.load(Path(given.input)), verbose=given.verbose)
    if not given.output:
        return
    if not given.save_as_external_data:
        onnx.save(model, given.output)
        return
    onnx.save_model(
        model,
        given.output,
        save_as_external_data=True,
        all_tensors_to_one_file=given.all_tensors_to_one_file,
        location=given.external_data_location,
        size_threshold=given.external_data_size_threshold,
        convert_attribute=False,
    )


if __name__ == "__main__":
    main()
