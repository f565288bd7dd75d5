"""What answers for an ONNX model that is the source: somebody else's engine where one can."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.version_converter

import sardonyx
from sardonyx.conversion.frameworks._onnx.loading import nodes_in
from sardonyx.conversion.frameworks._onnx.opsets import opset_of
from sardonyx.errors import ConversionError, SardonyxError

__all__ = ["Reference"]

Feeds = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Feeds], Sequence[Any]]

_QUIET = 3
_OLDEST_ELSEWHERE = 7
"""Older operator sets are run by nobody any more."""
_BATCH_NORM_CHANGED = 14
_MOST_WEIGHTS = 1 << 20
"""onnx.reference computes in plain numpy, convolutions in Python; larger models would take minutes."""


class Reference:
    """The model as it was given, run by the first engine that can: ONNX Runtime, onnx.reference (both on what
    onnx.version_converter makes of a very old model), or sardonyx without optimisation. ``repaired`` is run where
    nobody else runs a model that contradicts itself."""

    def __init__(self, model: onnx.ModelProto, repaired: onnx.ModelProto | None = None) -> None:
        self._model = model
        self._repaired = repaired
        self._names = [value.name for value in model.graph.output]
        self._chosen: tuple[str, Run] | None = None

    def __call__(self, feeds: Feeds) -> dict[str, Any]:
        if self._chosen is not None:
            return self._named(self._chosen[1](feeds))
        failures = []
        for engine, make in self._candidates():
            try:
                run = make()
                results = run(feeds)
            except Exception as error:  # whatever another engine cannot do
                failures.append(f"{engine}: {_first_line(error)}")
                continue
            self._chosen = engine, run
            return self._named(results)
        raise ConversionError(f"nothing can run the model as it was given: {'; '.join(failures)}")

    def _named(self, results: Sequence[Any]) -> dict[str, Any]:
        found = dict(zip(self._names, results, strict=True))
        for value in self._repaired.graph.output if self._repaired is not None else ():
            if value.type.tensor_type.HasField("shape"):
                found[value.name] = _of_rank(found[value.name], len(value.type.tensor_type.shape.dim))
        return found

    def engine(self) -> str:
        """Who computed the answers."""
        return self._chosen[0] if self._chosen else "nobody"

    def _candidates(self) -> list[tuple[str, Callable[[], Run]]]:
        given = [("", self._model)]
        if self._repaired is not None:
            given.append((" on the repaired model, which no engine here runs as it was given", self._repaired))
        models = [_for_others(how, model) for how, model in given]
        found: list[tuple[str, Callable[[], Run]]] = []
        if importlib.util.find_spec("onnxruntime") is not None:
            name = f"ONNX Runtime {metadata.version('onnxruntime')}"
            found += [(name + how, partial(_onnxruntime, model)) for how, model in models if model is not None]
        if _suits_plain_numpy(self._model):
            name = f"onnx.reference {onnx.__version__}"
            found += [(name + how, partial(_plain, m, self._names)) for how, m in models if m is not None]
        name = f"sardonyx {sardonyx.__version__} without optimisation"
        return [*found, *((name + how, partial(_own, model)) for how, model in given)]


def _of_rank(result: Any, rank: int) -> Any:
    """Without the axes of one element that a repair took away."""
    while np.ndim(result) > rank and 1 in np.shape(result):
        result = np.squeeze(result, np.shape(result).index(1))
    return result


def _suits_plain_numpy(model: onnx.ModelProto) -> bool:
    """Whether onnx.reference is quick enough and right: it normalises by the batch before opset 14."""
    if opset_of(model) < _BATCH_NORM_CHANGED and any(node.op_type == "BatchNormalization" for node in nodes_in(model)):
        return False
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer) <= _MOST_WEIGHTS


def _for_others(how: str, model: onnx.ModelProto) -> tuple[str, onnx.ModelProto | None]:
    """A model as others can take it: the meaning of very old operator sets is known to the converter alone."""
    if opset_of(model) >= _OLDEST_ELSEWHERE:
        return how, model
    try:
        return f" (opset 8 by onnx.version_converter){how}", onnx.version_converter.convert_version(model, 8)
    except Exception:  # no adapter: other candidates answer
        return how, None


def _onnxruntime(model: onnx.ModelProto) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, dict(feeds))


def _plain(model: onnx.ModelProto, names: list[str]) -> Run:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)

    def run(feeds: Feeds) -> Sequence[Any]:
        results: Any = evaluator.run(names, dict(feeds))
        return list(results)

    return run


def _own(model: onnx.ModelProto) -> Run:
    options = sardonyx.SessionOptions(exact_convolution=True, use_cache=False, log_severity_level=_QUIET)
    options.graph_optimization_level = sardonyx.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = sardonyx.InferenceSession(model.SerializeToString(), options)
    return lambda feeds: session.run(None, dict(feeds))


def _first_line(error: Exception) -> str:
    text = str(error) if isinstance(error, SardonyxError) else f"{type(error).__name__}: {error}"
    return text.strip().splitlines()[0][:300] if text.strip() else type(error).__name__
