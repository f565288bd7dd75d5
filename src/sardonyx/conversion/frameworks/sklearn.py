"""scikit-learn: estimators and pipelines, objects or files, through skl2onnx.

What skl2onnx gets wrong is repaired in ``_sklearn/repairs.py``; which float type a model takes is decided in
``_sklearn/precision.py``.
"""

from __future__ import annotations

import json
from typing import Any

import onnx

from sardonyx import metadata
from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._sklearn.answers import classes, reference
from sardonyx.conversion.frameworks._sklearn.boosters import register
from sardonyx.conversion.frameworks._sklearn.flow import Visit, visits
from sardonyx.conversion.frameworks._sklearn.imputer import convert_imputer
from sardonyx.conversion.frameworks._sklearn.kernels import converters, has_probabilities
from sardonyx.conversion.frameworks._sklearn.power import convert_power
from sardonyx.conversion.frameworks._sklearn.precision import why_double
from sardonyx.conversion.frameworks._sklearn.ranges import domains
from sardonyx.conversion.frameworks._sklearn.reading import is_skops, read
from sardonyx.conversion.frameworks._sklearn.repairs import exportable, repair
from sardonyx.conversion.frameworks._sklearn.signature import Signature, signature
from sardonyx.conversion.frameworks._sklearn.splits import splits
from sardonyx.conversion.frameworks._sklearn.steps import (
    check_fitted,
    check_supported,
    everything,
    final,
    kind_of,
    unwrapped,
)
from sardonyx.conversion.frameworks._sklearn.tables import repair_trees
from sardonyx.conversion.quiet import quiet
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["ScikitLearn"]

_OPSET = 18
_MIXTURES = ("GaussianMixture", "BayesianGaussianMixture")
_COARSE = 1e-4
_WORD_COUNTS = ("MultinomialNB", "ComplementNB", "BernoulliNB")
_PICKLES = (".pkl", ".pickle", ".joblib")
_OTHERS = ("torch", "xgboost", "lightgbm", "catboost", "tensorflow", "keras", "jax", "flax", "mxnet", "chainer")


class ScikitLearn(Framework):
    """An estimator or a Pipeline; pickles (.pkl, .joblib) and .skops files of them.

    Options: ``double`` (True, False; by default decided by ``precision``): whether numbers are float64.
    """

    key = "sklearn"
    title = "scikit-learn"
    extra = "sklearn"
    packages = {"sklearn": "scikit-learn", "skl2onnx": "skl2onnx>=1.20"}

    def sees(self, source: Source) -> Form | None:
        if source.path is None:
            mine = source.is_a("sklearn.base.BaseEstimator") and source.packages[0] not in _OTHERS
            return Form(self.key, f"{type(source.object).__name__} of scikit-learn", "skl2onnx") if mine else None
        if is_skops(source):
            return Form(self.key, "a scikit-learn model in a skops file", "skl2onnx")
        names = source.pickled_classes
        packages = [name.partition(".")[0] for name in names]
        root = packages[0] if packages else ""
        holds_one = "sklearn" in packages and root not in _OTHERS
        unknown = source.suffix in _PICKLES and not any(package in _OTHERS for package in packages)
        if not holds_one and not unknown:
            return None
        what = f"a pickle of {names[0].rpartition('.')[2]} (scikit-learn)" if holds_one else "a pickle"
        return Form(
            self.key, what, "skl2onnx", runs_code=True, safer="Without running code: save it with skops.io.dump, .skops"
        )

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        notes: list[str] = []
        model = read(source, request, notes)
        if not hasattr(model, "get_params") or not hasattr(model, "fit"):
            raise ConversionError(f"{source} holds an object of {type(model).__name__}, not an estimator")
        return converted(model, request, notes)


def converted(model: Any, request: Request, notes: list[str]) -> Exported:
    """The model of an estimator that is at hand."""
    check_fitted(model)
    register(step for _, step in everything(model))
    check_supported(model)
    model = unwrapped(model)
    called = signature(model, double=False)
    visited = visits(model, len(called.columns))
    wished = request.option("double")
    reason = why_double(visited) if wished is None and called.form in ("matrix", "columns") else ""
    if reason:
        notes.append(f"takes float64: {reason}")
    return _exported(model, request, notes, visited, bool(wished or reason), wished is None and not reason)


def _exported(
    model: Any, request: Request, notes: list[str], visited: list[Visit], double: bool, may_widen: bool
) -> Exported:
    called = signature(model, double)
    made = _onnx(model, called, request)
    repair(made, model, notes)
    repair_trees(made, visited, double, notes)
    names = classes(model)
    trees = splits(visited, len(called.columns), narrow=double)
    by_input = (
        {c.name: [part] for c, part in zip(called.columns, trees, strict=True) if len(part)}
        if called.form == "columns"
        else {"X": trees}
    )

    def wider() -> Exported:
        return _exported(model, request, ["takes float64: float32 was not close enough"], visited, True, False)

    return Exported(
        model=made,
        reference=reference(model, called, made.graph),
        domains=domains(called, visited),
        splits=by_input if any(map(len, trees)) and not hasattr(final(model), "transform") else {},
        metadata={metadata.CLASSES: json.dumps(names)} if names else {},
        notes=notes,
        tolerance=_tolerance(visited, notes),
        columns={"X": [c.name for c in called.columns]} if called.form == "matrix" and called.frame else {},
        finer=wider if may_widen and called.form in ("matrix", "columns") else None,
    )


def _tolerance(visited: list[Visit], notes: list[str]) -> float | None:
    """1e-4 where the standard's own operator computes in float32 what the source computes in float64."""
    for visit in visited:
        kind = kind_of(visit.estimator)
        if has_probabilities(visit.estimator):
            notes.append(f"tolerance 1e-4: {kind} couples probabilities in float64, ONNX's SVMClassifier in float32")
            return _COARSE
        if kind in _WORD_COUNTS and any(hasattr(v.estimator, "vocabulary_") for v in visited):
            notes.append(f"tolerance 1e-4: {kind} adds up logarithms in float64, ONNX's TfIdfVectorizer is float32")
            return _COARSE
    return None


def _onnx(model: Any, called: Signature, request: Request) -> onnx.ModelProto:
    from skl2onnx import convert_sklearn
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import PowerTransformer

    opset = request.opset or _OPSET
    ours = {**converters(), PowerTransformer: convert_power, SimpleImputer: convert_imputer}
    mixtures = any(kind_of(step) in _MIXTURES for _, step in everything(model))  # their converter takes one number
    model = exportable(model)
    with quiet():
        made: onnx.ModelProto = convert_sklearn(
            model,
            kind_of(model),
            called.types(None if request.dynamic else 1),
            target_opset=opset if mixtures else {"": opset, "ai.onnx.ml": 3},
            options=_options(model),
            custom_conversion_functions=ours,
        )
    return made


def _options(model: Any) -> dict[int, dict[str, Any]]:
    """Probabilities as a tensor, wherever a classifier may put them into maps. Classifiers without that option get an
    empty entry, or a pipeline's default is given to them."""
    from skl2onnx._supported_operators import sklearn_operator_name_map as known
    from skl2onnx.common._registration import get_converter

    options: dict[int, dict[str, Any]] = {}
    for _, step in everything(model):
        if type(step) in known and not hasattr(step, "named_steps"):
            allowed = get_converter(known[type(step)]).get_allowed_options() or ()
            options[id(step)] = {"zipmap": False} if "zipmap" in allowed else {}
    return options
