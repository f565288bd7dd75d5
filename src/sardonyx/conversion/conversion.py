"""``convert``: the road from a source to a model and its certificate."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import sardonyx
from sardonyx import metadata
from sardonyx.conversion.certificate import Certificate, Measure, Thresholds, default_tolerance
from sardonyx.conversion.data import read_data
from sardonyx.conversion.described import described
from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.page import page
from sardonyx.conversion.quiet import quiet
from sardonyx.conversion.recognition import framework_of, recognise
from sardonyx.conversion.samples import Samples, generated, given, next_to_splits
from sardonyx.conversion.source import Form, Request, Source, named
from sardonyx.conversion.tables import from_tables
from sardonyx.conversion.writing import digest, fingerprint, opened, write_bytes, write_model
from sardonyx.errors import ConversionError, SardonyxError, UntrustedSourceError

__all__ = ["Conversion", "convert"]

_QUIET = 3


@dataclass
class Conversion:
    """A converted model and the proof. ``path`` is where it was written, if it was."""

    model: onnx.ModelProto
    form: Form
    certificate: Certificate
    path: Path | None = None

    def save(self, path: str | os.PathLike[str], *, external: bool | None = None) -> Path:
        """Writes the model and, beside it, ``NAME.certificate.json``. Both appear whole or not at all."""
        target = Path(path)
        weights = write_model(self.model, target, external=external)
        self.certificate.model |= {"path": str(target), "sha256": digest(target)}
        if weights is not None:
            self.certificate.model["weights_sha256"] = digest(weights)
        text = json.dumps(self.certificate.plain(), indent=2, default=str) + "\n"
        write_bytes(target.with_suffix(".certificate.json"), text.encode())
        self.path = target
        return target

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes the certificate as one HTML page."""
        write_bytes(Path(path), page(self.certificate).encode())

    def session(self, options: sardonyx.SessionOptions | None = None) -> sardonyx.InferenceSession:
        """A session on the model."""
        return opened(self.model, options)


def convert(
    source: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    example_inputs: Any = None,
    data: Any = None,
    factory: Callable[[], Any] | None = None,
    trust: bool = False,
    opset: int | None = None,
    dynamic: bool = True,
    rows: int = 1000,
    seed: int = 0,
    tolerance: float | None = None,
    classes: Any = None,
    image: Any = None,
    on_progress: Callable[[str], None] | None = None,
    **options: Any,
) -> Conversion:
    """Converts a trained model to ONNX and compares both on data.

    ``source`` is a path (file or folder) or a model object of any framework in docs/converters.md. ``example_inputs``
    (a tuple, a dict, or one array or tensor) shows how it is called, where the framework needs to see a call.
    ``data`` is what the certificate is measured on: arrays by input name, one array, a table, or the path of one;
    without it, data is drawn from the ranges that the model remembers of its training, or else from the declared
    types (``rows``, ``seed``). ``factory`` makes the object that a file of weights belongs to. ``trust`` allows
    sources that can run code when read (pickles). ``opset`` asks for a version of ai.onnx, ``dynamic=False`` fixes
    the batch as in the example. ``tolerance`` is the largest relative difference that counts as equal (default 1e-5;
    1e-12 for models that compute in float64; more for half precision). ``classes`` (names in the order of the scores,
    or a text file with one a line) and ``image`` (``{"mean": ..., "std": ..., "size": ...}``, see sardonyx.metadata)
    go into the model's metadata, so that ``sardonyx run`` can read a photo and print a name. Further options are the
    framework's own.

    With ``output``, writes the model there and ``NAME.certificate.json`` beside it. A certificate that did not pass
    is no exception: look at ``certificate.passed``.

    Raises ConversionError for what cannot be recognised, read or converted (by name, with what to do), its subclass
    MissingPackageError with the pip command, and UntrustedSourceError.
    """
    say = on_progress or (lambda text: None)
    seen = Source(source)
    form = recognise(seen)
    framework = framework_of(form)
    framework.require(form)
    _check_trust(seen, form, trust)
    request = Request(example_inputs, factory, opset, dynamic, trust, dict(options), say)
    say(f"exporting {form.kind} with {form.tool}")
    exported = _exported(framework, seen, form, request)
    exported.metadata |= described(exported.model, classes, image)
    _describe(exported, seen, form, framework)
    say("comparing with the source")
    certificate = _certified(exported, seen, form, framework, data, rows, seed, tolerance)
    if not certificate.passed and exported.finer is not None:
        say(f"exporting {form.kind} once more, in a wider type")
        with contextlib.suppress(Exception):  # not every model can be had in the wider type
            finer = exported.finer()
            finer.metadata |= described(finer.model, classes, image)
            _describe(finer, seen, form, framework)
            certificate = _certified(finer, seen, form, framework, data, rows, seed, tolerance)
            exported = finer
    result = Conversion(exported.model, form, certificate)
    if output is not None:
        say("writing")
        result.save(output, external=exported.external)
    return result


def _check_trust(source: Source, form: Form, trust: bool) -> None:
    if form.runs_code and not trust and source.path is not None:
        raise UntrustedSourceError(
            f"{source} is {form.kind}. Reading it runs whatever code its author put in, so it is not opened unless "
            f"you say that you trust it: --trust, or trust=True. {form.safer}".rstrip()
        )


def _exported(framework: Framework, source: Source, form: Form, request: Request) -> Exported:
    try:
        with quiet():
            exported = framework.export(source, form, request)
    except SardonyxError:
        raise
    except Exception as error:  # whatever an exporter raises is about this source
        raise ConversionError(
            f"{source} ({form.kind}): {form.tool} could not convert it: {type(error).__name__}: {_short(error)}"
        ) from error
    if request.options:
        raise ConversionError(f"{form.tool} has no option called {', '.join(sorted(request.options))}")
    return exported


def _short(error: Exception) -> str:
    """An exporter's message; the longest ones are whole reports."""
    text = str(error).strip()
    return text if len(text) <= 2000 else f"{text[:1000]}\n...\n{text[-1000:]}"


def _describe(exported: Exported, source: Source, form: Form, framework: Framework) -> None:
    """Writes into the model what travels with it."""
    origin = {"framework": framework.title, "kind": form.kind, "tool": form.tool, "versions": framework.versions()}
    if source.path is not None:
        origin["sha256"] = digest(source.path)
    properties = {**exported.metadata, metadata.SOURCE: json.dumps(origin)}
    kept = {p.key: p.value for p in exported.model.metadata_props}
    onnx.helper.set_model_props(exported.model, kept | properties)


def _certified(
    exported: Exported,
    source: Source,
    form: Form,
    framework: Framework,
    data: Any,
    rows: int,
    seed: int,
    tolerance: float | None,
) -> Certificate:
    session = _session(exported.model)
    inputs = session.get_inputs()
    if data is not None:
        samples = given(inputs, named(read_data(data, inputs, exported.columns), tuple(v.name for v in inputs)))
    else:
        domains = {**from_tables(exported.model), **exported.domains}
        origin = "training" if any(domain.trained for domain in exported.domains.values()) else "types"
        samples = generated(inputs, domains, exported.sizes, rows, seed, origin, exported.other_sizes)
    names = [value.name for value in session.get_outputs()]
    measures = {name: Measure(name, exported.steps.get(name, 0.0), exported.float64) for name in names}
    types: dict[str, np.dtype[Any]] = {}
    for feeds in samples.calls:
        ours = dict(zip(names, session.run(None, feeds), strict=True))
        theirs = _answer(exported, feeds)
        for name, measure in measures.items():
            measure.add(theirs[name], ours[name])
            types[name] = np.asarray(ours[name]).dtype
    allowed = tolerance if tolerance is not None else exported.tolerance or default_tolerance(types, exported.float64)
    certificate = Certificate(
        source=_source_record(source, form, framework, exported),
        model=_model_record(exported.model),
        engine=f"sardonyx {sardonyx.__version__}, convolutions as plain sums",
        data={"origin": samples.origin, "rows": _count_rows(samples), "calls": len(samples.calls), "seed": seed},
        outputs=[measure.figures() for measure in measures.values()],
        tolerance=allowed,
        versions=framework.versions() | {"onnx": onnx.__version__, "numpy": np.__version__},
        thresholds=_at_splits(exported, session, samples, allowed, seed),
        notes=list(exported.notes),
    )
    if not certificate.passed:
        certificate.first_difference = _first_difference(exported, samples, allowed)
    return certificate


def _answer(exported: Exported, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
    """The source's own, kept from the user's terminal; raises ConversionError where it has none for this data."""
    try:
        with quiet():
            return exported.reference(feeds)
    except SardonyxError:
        raise
    except Exception as error:  # whatever a framework says to data that it does not take
        raise ConversionError(
            f"the source itself cannot answer the data of the certificate ({type(error).__name__}: {_short(error)}): "
            "give some that it can, --data or data="
        ) from error


def _session(model: onnx.ModelProto) -> sardonyx.InferenceSession:
    """Our own engine, with convolutions as plain sums: the certificate is about the conversion, not about
    transforms."""
    options = sardonyx.SessionOptions(exact_convolution=True, use_cache=False, log_severity_level=_QUIET)
    return opened(model, options)


def _count_rows(samples: Samples) -> int:
    if not samples.batched:
        return len(samples.calls)
    return sum(next(iter(feeds.values())).shape[0] for feeds in samples.calls)


def _at_splits(
    exported: Exported, session: sardonyx.InferenceSession, samples: Samples, allowed: float, seed: int
) -> Thresholds | None:
    if not exported.splits or not samples.batched:
        return None
    names = [value.name for value in session.get_outputs()]
    rows = differ = 0
    for feeds in next_to_splits(samples.calls[-1], exported.splits, seed):
        ours, theirs = dict(zip(names, session.run(None, feeds), strict=True)), exported.reference(feeds)
        wrong = np.zeros(next(iter(feeds.values())).shape[0], np.bool_)
        for name in names:
            wrong |= _rows_apart(np.asarray(theirs[name]), np.asarray(ours[name]), allowed)
        rows, differ = rows + len(wrong), differ + int(wrong.sum())
    values = sum(len(np.unique(column)) for columns in exported.splits.values() for column in columns)
    return Thresholds(values, rows, differ)


def _rows_apart(theirs: Any, ours: Any, allowed: float) -> Any:
    count = len(ours)
    theirs = theirs.reshape(ours.shape) if theirs.size == ours.size else theirs
    if ours.dtype.kind != "f":
        return np.any((ours.astype(str) != theirs.astype(str)).reshape(count, -1), axis=1)
    a, b = theirs.reshape(count, -1).astype(np.float64), ours.reshape(count, -1).astype(np.float64)
    size = np.maximum(np.abs(a), np.sqrt(np.mean(np.square(a))) if a.size else 0)
    return ~np.all((np.abs(a - b) <= allowed * size) | (np.isnan(a) & np.isnan(b)), axis=1)


def _first_difference(exported: Exported, samples: Samples, allowed: float) -> str:
    """The first inner value, in the source's order, in which both sides differ, where the source can show them."""
    if exported.trace is None:
        return ""
    from sardonyx.inspection.extraction import exposing

    for feeds in samples.calls[-1:]:
        with quiet():
            inner = exported.trace(feeds)
        with exposing(exported.model, list(inner)) as model:
            session = _session(model)
            names = [value.name for value in session.get_outputs()]
            ours = dict(zip(names, session.run(None, feeds), strict=True))
        for name, theirs in inner.items():
            measure = Measure(name)
            measure.add(theirs, ours[name])
            figures = measure.figures()
            if figures.problem or figures.relative > allowed or (figures.kind == "labels" and figures.flips):
                layer = f"{exported.layers[name]} ({name})" if name in exported.layers else name
                return f"{layer}: {figures.problem or f'relative difference {figures.relative:.2g}'}"
    return ""


def _source_record(source: Source, form: Form, framework: Framework, exported: Exported) -> dict[str, Any]:
    record: dict[str, Any] = {"framework": framework.title, "kind": form.kind, "converter": form.tool}
    if exported.compared_with is not None:
        record["computed_by"] = exported.compared_with()
    if source.path is not None:
        return record | {"path": str(source.path), "sha256": digest(source.path)}
    return record | {"class": str(source)}


def _model_record(model: onnx.ModelProto) -> dict[str, Any]:
    opsets: Mapping[str, int] = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    return {
        "sha256": fingerprint(model),
        "ir_version": model.ir_version,
        "opsets": dict(opsets),
        "nodes": len(model.graph.node),
    }
