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
from sardonyx.conversion.frameworks._onnx.opsets import opset_of
from sardonyx.errors import ConversionError, SardonyxError

__all__ = ["Reference"]

Feeds = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Feeds], Sequence[Any]]

_QUIET = 3
_OLDEST_ELSEWHERE = 7
"""Older operator sets are run by nobody any more."""
_MOST_WEIGHTS = 1 << 20
"""onnx.reference computes in plain numpy, convolutions in Python; larger models would take minutes."""


class Reference:
    """The model as it was given, run by the first engine that can: ONNX Runtime, onnx.reference (both also try what
    onnx.version_converter makes of a very old model), or sardonyx without optimisation. ``about`` is added to what
    ``engine`` says."""

    def __init__(self, model: onnx.ModelProto, about: str = "") -> None:
        self._model = model
        self._about = about
        self._names = [value.name for value in model.graph.output]
        self._chosen: tuple[str, Run] | None = None

    def __call__(self, feeds: Feeds) -> dict[str, Any]:
        if self._chosen is not None:
            return dict(zip(self._names, self._chosen[1](feeds), strict=True))
        failures = []
        for engine, make in self._candidates():
            try:
                run = make()
                results = run(feeds)
            except Exception as error:  # whatever another engine cannot do
                failures.append(f"{engine}: {_first_line(error)}")
                continue
            self._chosen = engine, run
            return dict(zip(self._names, results, strict=True))
        raise ConversionError(f"nothing can run the model as it was given: {'; '.join(failures)}")

    def engine(self) -> str:
        """Who computed the answers."""
        return (self._chosen[0] if self._chosen else "nobody") + self._about

    def _candidates(self) -> list[tuple[str, Callable[[], Run]]]:
        models = [("", self._model)]
        if opset_of(self._model) < _OLDEST_ELSEWHERE and (newer := _newer(self._model)) is not None:
            models.append((" on what onnx.version_converter made of it", newer))
        found: list[tuple[str, Callable[[], Run]]] = []
        if importlib.util.find_spec("onnxruntime") is not None:
            found += [
                (f"ONNX Runtime {metadata.version('onnxruntime')}{how}", partial(_onnxruntime, m)) for how, m in models
            ]
        if sum(int(np.prod(tensor.dims)) for tensor in self._model.graph.initializer) <= _MOST_WEIGHTS:
            found += [(f"onnx.reference {onnx.__version__}{how}", partial(_plain, m, self._names)) for how, m in models]
        how = "on the model as it was given, without optimisation"
        return [*found, (f"sardonyx {sardonyx.__version__} {how}", partial(_own, self._model))]


def _newer(model: onnx.ModelProto) -> onnx.ModelProto | None:
    try:
        return onnx.version_converter.convert_version(model, 8)
    except Exception:  # no adapter: other candidates answer
        return None


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
