"""MXNet: a symbol (.json) and its parameters (.params), in an isolated Python 3.8."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._onnx.opsets import with_opset
from sardonyx.conversion.isolated import Environment, Worker
from sardonyx.conversion.isolated.framework import IsolatedFramework, shapes_and_types
from sardonyx.conversion.isolated.models import read_model, set_outputs
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["MXNet"]

_MAGIC = b"\x12\x01" + bytes(6)
_TAIL = 4096
_WRITTEN_OPSET = 13
"""Of the newest forms that MXNet's exporter knows; it declares the newest opset of the onnx package instead."""


class MXNet(IsolatedFramework):
    """A symbol bound to its parameters; its answer is the executor's, not training."""

    key = "mxnet"
    title = "MXNet"
    script = "mxnet_source"
    environment = Environment(
        name="mxnet",
        title="MXNet",
        python="3.8",
        requirements=("mxnet==1.9.1", "onnx==1.12.0", "protobuf==3.20.1", "numpy==1.23.5"),
        modules=("mxnet", "onnx"),
    )

    def sees(self, source: Source) -> Form | None:
        if source.head.startswith(_MAGIC):
            return Form(self.key, "MXNet parameters (.params)", "mxnet.onnx")
        if source.head.lstrip()[:1] == b"{" and b'"nodes"' in source.head and _ends_as_symbol(source):
            return Form(self.key, "an MXNet symbol (.json)", "mxnet.onnx")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        notes: list[str] = []
        assert source.path is not None
        symbol, params = _both(source.path, request, notes)
        shapes, types = shapes_and_types(request.example_inputs)
        axes = _batch_axes(request)
        worker = self.start(request)
        try:
            return _exported(worker, symbol, params, shapes, types, axes, request, notes)
        except BaseException:
            worker.close()
            raise


def _batch_axes(request: Request) -> dict[str, int]:
    """The option ``batch_axis``: a number for all inputs, or numbers by name; without it, a symbol's layouts tell, or
    it is the first."""
    wanted = request.option("batch_axis", {})
    axes = {"": wanted} if isinstance(wanted, int) else wanted
    if not isinstance(axes, dict) or any(not isinstance(axis, int) or axis < 0 for axis in axes.values()):
        raise ConversionError(f"option batch_axis={wanted}: expected a number, or numbers by names of inputs")
    return {str(name): axis for name, axis in axes.items()}


def _ends_as_symbol(source: Source) -> bool:
    """Whether a JSON file of nodes ends with MXNet's version or, when it is very old, with the list of its outputs."""
    assert source.path is not None
    with source.path.open("rb") as file:
        file.seek(max(0, source.path.stat().st_size - _TAIL))
        tail = file.read()
    return b'"mxnet_version"' in tail or (b'"heads"' in tail and b'"op"' in source.head)


def _both(path: Path, request: Request, notes: list[str]) -> tuple[Path, Path]:
    """The files of symbol and parameters, one of which is given: NAME-symbol.json and NAME-0000.params, where the
    number counts epochs; the option ``params`` or ``symbol`` names the other one where it is called otherwise."""
    is_symbol = not path.read_bytes()[:8].startswith(_MAGIC)
    named = request.option("params" if is_symbol else "symbol")
    if named is not None:
        other = Path(str(named))
        if not other.is_file():
            raise ConversionError(f"{other}: no such file")
        return (path, other) if is_symbol else (other, path)
    if not is_symbol:
        stem = re.sub(r"(-\d+)?\.params$", "", path.name)
        beside = path.with_name(f"{stem}-symbol.json")
        if beside.is_file():
            return beside, path
        raise ConversionError(
            f"{path} holds MXNet parameters; there is no {beside.name} beside it. Name the symbol's file with --option "
            "symbol=FILE (symbol=... in Python); a Gluon block is saved with both by net.hybridize() and net.export()"
        )
    stem = path.name.removesuffix(".json").removesuffix("-symbol")
    epochs = sorted(entry for entry in path.parent.glob("*.params") if re.fullmatch(r"-\d+", entry.stem[len(stem) :]))
    epochs = [entry for entry in epochs if entry.name.startswith(f"{stem}-")]
    plain = path.with_name(f"{stem}.params")
    if not epochs and not plain.is_file():
        raise ConversionError(
            f"{path} is an MXNet symbol; its parameters, {stem}-0000.params, are not beside it. Name their file with "
            "--option params=FILE (params=... in Python)"
        )
    if len(epochs) > 1:
        others = ", ".join(entry.name for entry in epochs[:-1])
        notes.append(f"the parameters are those of the last epoch, {epochs[-1].name}, not {others}")
    return path, epochs[-1] if epochs else plain


def _exported(
    worker: Worker,
    symbol: Path,
    params: Path,
    shapes: Mapping[str, Any],
    types: Mapping[str, str],
    axes: Mapping[str, int],
    request: Request,
    notes: list[str],
) -> Exported:
    files = {"symbol": str(symbol.resolve()), "params": str(params.resolve())}
    inputs = worker.ask("open", **files, shapes=shapes, types=types, axes=axes)
    unknown = [entry["name"] for entry in inputs if entry["shape"] is None]
    if unknown:
        raise ConversionError(
            f"{symbol} does not say the shape of its inputs {', '.join(unknown)}: give example_inputs, or --example "
            f"{unknown[0]}=1x3x224x224 for each (with the model's own sizes)"
        )
    path = worker.folder / "model.onnx"
    done = worker.ask("export", path=str(path), dynamic=request.dynamic)
    notes += done["notes"]
    model = read_model(path)
    path.unlink()
    set_outputs(model, done["outputs"])
    _declare(model, notes)
    if request.opset is not None:
        model = with_opset(model, request.opset)
    domains = {
        entry["name"]: Domain(low=0, high=entry["indices"] - 1) for entry in inputs if entry["indices"] is not None
    }
    return Exported(model, worker.evaluate, domains=domains, notes=notes)


def _declare(model: Any, notes: list[str]) -> None:
    for entry in model.opset_import:
        if entry.domain == "" and entry.version > _WRITTEN_OPSET:
            notes.append(f"declared as opset {_WRITTEN_OPSET}, whose nodes it has, not {entry.version}")
            entry.version = _WRITTEN_OPSET
