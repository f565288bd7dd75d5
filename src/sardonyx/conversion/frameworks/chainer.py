"""Chainer: weights (.npz) and the function that makes their chain, in an isolated Python 3.8."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx

from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._onnx.opsets import with_opset
from sardonyx.conversion.isolated import Environment, Worker
from sardonyx.conversion.isolated.batches import SIZES, BakedBatchError, with_open_batch
from sardonyx.conversion.isolated.framework import IsolatedFramework
from sardonyx.conversion.isolated.models import index_domains, read_model
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["Chainer"]

_WEIGHT = re.compile(r".+/(?:W|avg_mean|w\d+)\.npy")
_ONE_LINK = {"W.npy", "b.npy"}
_FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>\w+)")
_BATCH = "batch"
_ASK = (
    "a .npz file holds a chain's weights only: name the function that makes the chain with --option "
    "chain=FILE.py:FUNCTION (chain='FILE.py:FUNCTION' in Python); it runs in the isolated Python 3.8, where Chainer is"
)


class Chainer(IsolatedFramework):
    """A Link or Chain; its answer is what calling it gives with ``train`` off."""

    key = "chainer"
    title = "Chainer"
    script = "chainer_source"
    environment: ClassVar[Environment] = Environment(
        name="chainer",
        title="Chainer",
        python="3.8",
        requirements=("onnx==1.12.0", "protobuf==3.20.1", "numpy==1.23.5", "six==1.17.0"),
        built=("chainer==7.8.1",),
        modules=("chainer", "onnx_chainer"),
    )

    def sees(self, source: Source) -> Form | None:
        if not source.is_file or source.suffix != ".npz":
            return None
        if any(map(_WEIGHT.fullmatch, source.members)) or ("W.npy" in source.members and source.members <= _ONE_LINK):
            return Form(self.key, "weights of a Chainer chain (.npz)", "onnx_chainer")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        if request.factory is not None:
            raise ConversionError(f"--factory gives a function of this Python, which has no Chainer; {_ASK}")
        file, function = _function(source, request)
        examples = _examples(request.example_inputs)
        worker = self.start(request)
        try:
            return _exported(worker, source, file, function, examples, request)
        except BaseException:
            worker.close()
            raise


def _function(source: Source, request: Request) -> tuple[Path, str]:
    """The file and the function that the option ``chain`` names."""
    chain = request.option("chain")
    if chain is None:
        raise ConversionError(f"{source}: {_ASK}")
    found = _FUNCTION.fullmatch(str(chain))
    if found is None:
        raise ConversionError(f"option chain={chain}: expected FILE.py:FUNCTION")
    file = Path(found["file"]).expanduser()
    if not file.is_file():
        raise ConversionError(f"option chain={chain}: there is no file {file}")
    return file.resolve(), found["function"]


def _examples(given: Any) -> Mapping[str, Any]:
    """Example inputs as arrays, by name or by their numbers."""
    if given is None:
        raise ConversionError(
            "Chainer has to see a call: give example_inputs, or --example SHAPE (such as 1x3x224x224, and "
            "1x20:int32 for indices) for each input"
        )
    if isinstance(given, Mapping):
        return {str(name): np.asarray(value) for name, value in given.items()}
    several = given if isinstance(given, tuple | list) else (given,)
    return {f"#{position}": np.asarray(value) for position, value in enumerate(several)}


def _exported(
    worker: Worker, source: Source, file: Path, function: str, examples: Mapping[str, Any], request: Request
) -> Exported:
    path = request.option("path", "")
    by_name = not next(iter(examples), "").startswith("#")
    assert source.path is not None
    with worker.given(list(examples.values())) as given:
        known = worker.ask(
            "open",
            file=str(file),
            function=function,
            weights=str(source.path.resolve()),
            path=str(path),
            examples=given,
            names=list(examples),
            by_name=by_name,
        )
    arrays = list(examples.values())
    notes: list[str] = []
    model = _model(worker, arrays, request.dynamic, notes)
    model.graph.name = known["chain"]
    if request.opset is not None:
        model = with_opset(model, request.opset)
    domains = {name: Domain(low=0, high=count - 1) for name, count in index_domains(model).items()}
    return Exported(model, worker.evaluate, domains=domains, notes=notes)


def _model(worker: Worker, arrays: list[Any], dynamic: bool, notes: list[str]) -> onnx.ModelProto:
    """The model with an open batch, where that is wished and possible."""
    rows = {array.shape[0] if array.ndim else 0 for array in arrays}
    if not dynamic or len(rows) != 1 or 0 in rows:
        return _export(worker, arrays, notes)
    few, more = (
        _export(worker, [np.take(array, np.arange(size) % len(array), 0) for array in arrays], said)
        for size, said in zip(SIZES, (notes, []), strict=True)
    )
    try:
        return with_open_batch(few, more, _BATCH)
    except BakedBatchError as error:
        size = next(iter(rows))
        notes.append(f"the batch stays {size}, as in the example, because the chain is made for it: {error}")
        return _export(worker, arrays, [])


def _export(worker: Worker, arrays: list[Any], notes: list[str]) -> onnx.ModelProto:
    path = worker.folder / "model.onnx"
    with worker.given(arrays) as given:
        ours = worker.ask("export", given=given, path=str(path))
    if ours:
        notes.append(f"functions that its exporter lacks or gets wrong were written anew: {', '.join(ours)}")
    model = read_model(path)
    path.unlink()
    return model
