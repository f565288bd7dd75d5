"""What is compared: a model under an engine and its settings."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import onnx

from sardonyx.errors import InvalidModelError, ModelNotFoundError, ModelTooLargeError, ProviderError, SardonyxError
from sardonyx.options import SessionOptions
from sardonyx.session.inference import InferenceSession

__all__ = ["ENGINES", "Candidate"]

ENGINES = ("sardonyx", "onnxruntime", "reference")
_ERROR = 3  # log level: what runs in Python is no news here


@dataclass(frozen=True)
class Candidate:
    """One side of a comparison. ``engine`` is one of ``ENGINES``; the settings after it are sardonyx's: passes to leave
    out, the optimisation level, whether convolutions stay plain sums, the target (``SARDONYX_TARGET``; empty: this
    machine's) and threads."""

    model: onnx.ModelProto = field(repr=False)
    name: str = ""
    engine: str = "sardonyx"
    disabled_passes: tuple[str, ...] = ()
    level: int = 99
    exact_convolution: bool = False
    target: str = ""
    threads: int = 0

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ProviderError(f"no engine is called {self.engine!r}; expected one of {', '.join(ENGINES)}")
        if self.engine == "onnxruntime" and importlib.util.find_spec("onnxruntime") is None:
            raise ProviderError("engine 'onnxruntime' needs the package of this name: pip install 'sardonyx[bench]'")

    @staticmethod
    def load(model: str | os.PathLike[str] | onnx.ModelProto, **settings: Any) -> Candidate:
        """From a file or a ModelProto; raises ModelNotFoundError or InvalidModelError for a file that is none."""
        if isinstance(model, onnx.ModelProto):
            return Candidate(model, **{"name": "model", **settings})
        try:
            proto = onnx.load(model)
        except FileNotFoundError as error:
            raise ModelNotFoundError(f"cannot open {os.fspath(model)}: {error.strerror or error}") from error
        except Exception as error:  # protobuf's DecodeError and onnx's checks of external data
            raise InvalidModelError(f"{os.fspath(model)}: {error}") from error
        return Candidate(proto, **{"name": Path(model).name, **settings})

    @property
    def label(self) -> str:
        """The side in words."""
        settings = [f"without {', '.join(self.disabled_passes)}"] if self.disabled_passes else []
        settings += [f"level {self.level}"] if self.level != 99 else []
        settings += ["exact convolution"] if self.exact_convolution else []
        settings += [f"target {self.target}"] if self.target else []
        settings += [f"{self.threads} threads"] if self.threads else []
        return f"{self.name} by {self.engine}" + (f" ({', '.join(settings)})" if settings else "")

    def run(self, model: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name of a model (this side's own, or a variant of it) under this side's engine.

        What the engine raises becomes a ProviderError, where it is none of ours.
        """
        names = [value.name for value in model.graph.output]
        try:
            outputs = self._outputs(model, dict(feeds))
        except SardonyxError:
            raise
        except Exception as error:
            raise ProviderError(f"{self.label}: {type(error).__name__}: {error}") from error
        return dict(zip(names, outputs, strict=True))

    def _outputs(self, model: onnx.ModelProto, feeds: dict[str, Any]) -> Sequence[Any]:
        if self.engine == "reference":
            from onnx.reference import ReferenceEvaluator

            results: Any = ReferenceEvaluator(model).run(None, feeds)
            return list(results)
        try:
            content = model.SerializeToString()
        except ValueError as error:  # protobuf's, above 2 GB
            raise ModelTooLargeError(f"{self.label}: models of more than 2 GB cannot be compared ({error})") from error
        if self.engine == "onnxruntime":
            return _run_onnxruntime(content, feeds, self.threads)
        options = SessionOptions(
            disabled_passes=set(self.disabled_passes),
            graph_optimization_level=self.level,  # type: ignore[arg-type]  # becomes one when it is set
            exact_convolution=self.exact_convolution,
            intra_op_num_threads=self.threads,
            log_severity_level=_ERROR,
            use_cache=False,
        )
        if not self.target:
            return _run_sardonyx(content, options, feeds)
        # the target of a process is settled once, so another one takes another process
        with ProcessPoolExecutor(1, get_context("spawn"), _set_target, (self.target,)) as pool:
            return pool.submit(_run_sardonyx, content, options, feeds).result()


def _set_target(target: str) -> None:
    os.environ["SARDONYX_TARGET"] = target


def _run_sardonyx(content: bytes, options: SessionOptions, feeds: dict[str, Any]) -> list[Any]:
    return InferenceSession(content, options).run(None, feeds)


def _run_onnxruntime(content: bytes, feeds: dict[str, Any], threads: int) -> Sequence[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERROR
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs: Sequence[Any] = session.run(None, feeds)
    return outputs
