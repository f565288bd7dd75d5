"""``python -m sardonyx.tools.optimize``: writes a model as the graph passes leave it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sardonyx.tools.onnx_model_utils import get_optimization_level, optimize_model

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads a model, runs the passes of a level, writes it."""
    parser = argparse.ArgumentParser(
        "python -m sardonyx.tools.optimize",
        description="Optimise an ONNX model to a level. The result has the newest operator set; where it uses ONNX's "
        "own operators alone, other engines that know this set load it.",
    )
    parser.add_argument("--opt_level", default="basic", choices=["disable", "basic", "extended", "layout", "all"])
    parser.add_argument("--log_level", default="error", choices=["debug", "info", "warning", "error"])
    parser.add_argument("input_model", type=Path, help="Path of the ONNX model to optimise.")
    parser.add_argument("output_model", type=Path, help="Path to write the optimised ONNX model to.")
    given = parser.parse_args(arguments)
    optimize_model(given.input_model, given.output_model, get_optimization_level(given.opt_level))


if __name__ == "__main__":
    main()
