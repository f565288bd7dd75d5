"""The graph passes whose results every engine understands."""

from __future__ import annotations

import onnx

from sardonyx.conversion.frameworks._onnx.opsets import lowest_opset, opset_of, rewritten
from sardonyx.graph.model import Model
from sardonyx.passes.pipeline import PASSES, optimise

__all__ = ["simplified"]

_PORTABLE = frozenset({"dead-code", "fold-constants", "identities", "common-subexpressions", "fold-affine", "sweep"})
_LEVEL = 1
_OLDEST_ELSEWHERE = 7


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """A smaller model of standard operators that computes the same: constants folded, what does nothing and what
    nobody reads removed, equal parts merged, scales and normalisations folded into weights.

    It keeps its opset, or has the lowest one above that can express it. Raises ConversionError where a node cannot be
    read.
    """
    disabled = [one.name for one in PASSES if one.name not in _PORTABLE]

    def change(read: Model) -> None:
        optimise(read, level=_LEVEL, disabled=disabled)

    made = rewritten(model, change)
    return lowest_opset(made, max(opset_of(model), _OLDEST_ELSEWHERE))
