"""The engines that ``bench`` and the demo compare, each behind the same call."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from sardonyx.errors import ProviderError

__all__ = ["ENGINES", "Engine", "open_engine"]

Feeds: TypeAlias = Mapping[str, Any]
Engine: TypeAlias = Callable[[Feeds], list[Any]]


def open_engine(name: str, model: Path, *, threads: int) -> Engine:
    """Loads a model file into the engine of that name and returns ``run(feeds) -> outputs`` in the model's order.

    Raises ProviderError for an engine that is not known or whose package is not installed.
    """
    if name not in ENGINES:
        raise ProviderError(f"no engine is called {name!r}; expected one of {', '.join(ENGINES)}")
    package = name.partition("-")[0]
    if importlib.util.find_spec(package) is None:
        raise ProviderError(f"engine {name!r} needs the package {package!r}: pip install 'sardonyx[bench]'")
    return ENGINES[name](model, threads)


def _sardonyx(model: Path, threads: int) -> Engine:
    import sardonyx

    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    session = sardonyx.InferenceSession(model, options)
    return lambda feeds: session.run(None, dict(feeds))


def _onnxruntime(model: Path, threads: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(feeds: Feeds) -> list[Any]:
        outputs: list[Any] = session.run(None, dict(feeds))
        return outputs

    return run


def _openvino(model: Path, threads: int) -> Engine:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # its own choice may be bfloat16, which is another comparison
    }
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)
    request = compiled.create_infer_request()
    names = [port.get_names() for port in compiled.inputs]

    def run(feeds: Feeds) -> list[Any]:
        data = {i: feeds[next(n for n in known if n in feeds)] for i, known in enumerate(names)}
        outputs = request.infer(data, share_inputs=True, share_outputs=True)
        return [outputs[port] for port in compiled.outputs]

    return run


ENGINES: dict[str, Callable[[Path, int], Engine]] = {
    "sardonyx": _sardonyx,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
