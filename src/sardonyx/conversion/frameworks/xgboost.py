"""XGBoost: Booster objects, estimators of its scikit-learn interface, .json and .ubj files, pickles."""

from __future__ import annotations

from typing import Any

import numpy as np

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._boosters.model import exported
from sardonyx.conversion.frameworks._boosters.xgboost import Parsed, parse
from sardonyx.conversion.frameworks._sklearn.reading import read
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["XGBoost", "parsed_estimator"]


class XGBoost(Framework):
    """A Booster or an estimator. The library's own JSON is read; onnxmltools takes no part."""

    key = "xgboost"
    title = "XGBoost"
    extra = "boosters"
    packages = {"xgboost": "xgboost"}

    def sees(self, source: Source) -> Form | None:
        tool = "its own JSON"
        if source.path is None:
            known = source.packages[0] == "xgboost" and source.is_a("xgboost.Booster", "xgboost.XGBModel")
            return Form(self.key, f"{type(source.object).__name__} of XGBoost", tool) if known else None
        head = source.head
        if (head.lstrip()[:1] == b"{" and b'"learner"' in head[:200]) or (head[:1] == b"{" and b"learner" in head[:32]):
            return Form(self.key, "a model file of XGBoost", tool)
        names = source.pickled_classes
        if names and names[0].partition(".")[0] == "xgboost":
            kind = f"a pickle of {names[0].rpartition('.')[2]} (XGBoost)"
            return Form(self.key, kind, tool, runs_code=True, safer="Without running code: save_model('model.ubj')")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        import xgboost

        notes: list[str] = []
        model = _load(source) if source.path is not None and not form.runs_code else read(source, request, notes)
        if isinstance(model, xgboost.Booster):
            parsed = parse(model, _best(model) if model.attr("scikit_learn") else None)
            classes: Any = range(parsed.class_count) if parsed.class_count else None
            booster = model
        else:
            parsed, classes = parsed_estimator(model)
            booster = model.get_booster()
        return exported(parsed, classes, _asking(booster, parsed), request, notes, names=booster.feature_names)


def parsed_estimator(model: Any) -> tuple[Parsed, Any]:
    """A fitted estimator and its classes (None where it is no classifier). Raises ConversionError if never fitted."""
    try:
        booster = model.get_booster()
    except Exception as error:  # NotFittedError of whichever scikit-learn
        raise ConversionError(f"{type(model).__name__} is not fitted: call fit before converting") from error
    parsed = parse(booster, _best(booster))
    parsed.missing = float("nan") if model.missing is None else float(model.missing)
    return parsed, model.classes_ if hasattr(model, "predict_proba") and parsed.class_count else None


def _load(source: Source) -> Any:
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(str(source.path))
    except xgboost.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConversionError(f"{source} is damaged, or no model of XGBoost: {reason}") from error
    return booster


def _best(booster: Any) -> int | None:
    """The rounds that count where training stopped early."""
    best = booster.attr("best_iteration")
    return None if best is None else int(best) + 1


def _asking(booster: Any, parsed: Parsed) -> Any:
    import xgboost

    rounds = (0, parsed.rounds) if parsed.rounds is not None else (0, 0)
    margins = parsed.objective == "multi:softmax"

    def ask(rows: Any) -> Any:
        names, kinds = booster.feature_names, booster.feature_types
        data = xgboost.DMatrix(
            rows, missing=parsed.missing, feature_names=names, feature_types=kinds, enable_categorical=True
        )
        found = booster.predict(data, iteration_range=rounds, output_margin=margins)
        if not margins:
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return ask
