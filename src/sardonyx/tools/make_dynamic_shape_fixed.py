"""``python -m sardonyx.tools.make_dynamic_shape_fixed``: fixes a symbolic size, or the sizes of an input."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import onnx

from sardonyx.tools.onnx_model_utils import (
    fix_output_shapes,
    load_model,
    make_dim_param_fixed,
    make_input_shape_fixed,
)

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads a model, fixes sizes, writes it; a usage that makes no sense exits with status 2."""
    parser = argparse.ArgumentParser(
        "python -m sardonyx.tools.make_dynamic_shape_fixed",
        description="Assign a fixed value to a dim_param or input shape. "
        "Provide either dim_param and dim_value or input_name and input_shape.",
    )
    parser.add_argument("--dim_param", help="Symbolic parameter name. Provide dim_value if specified.")
    parser.add_argument("--dim_value", type=int, help="Value to replace dim_param with in the model. Must be > 0.")
    parser.add_argument("--input_name", help="Input to replace the shape of. Provide input_shape if specified.")
    parser.add_argument("--input_shape", type=_sizes, help="Comma-separated sizes, all > 0, such as 1,3,256,256.")
    parser.add_argument("input_model", type=Path, help="Path of the ONNX model to update.")
    parser.add_argument("output_model", type=Path, help="Path to write the updated ONNX model to.")
    given = parser.parse_args(arguments)
    if bool(given.dim_param) == bool(given.input_name):
        parser.error("give either --dim_param or --input_name")
    if given.dim_param and (given.dim_value or 0) < 1:
        parser.error("--dim_param needs a --dim_value of 1 or more")
    if given.input_name and (not given.input_shape or min(given.input_shape) < 1):
        parser.error("--input_name needs an --input_shape of sizes of 1 or more")
    model = load_model(given.input_model)
    if given.dim_param:
        make_dim_param_fixed(model.graph, given.dim_param, given.dim_value)
    else:
        make_input_shape_fixed(model.graph, given.input_name, given.input_shape)
    fix_output_shapes(model)
    onnx.save(model, given.output_model)


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
