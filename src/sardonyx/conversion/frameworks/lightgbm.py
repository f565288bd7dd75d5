"""LightGBM: Booster objects, estimators of its scikit-learn interface, model files (.txt), pickles."""

from __future__ import annotations

from typing import Any

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._boosters.lightgbm import Parsed, parse
from sardonyx.conversion.frameworks._boosters.model import exported
from sardonyx.conversion.frameworks._sklearn.reading import read
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["LightGBM", "parsed_estimator"]


class LightGBM(Framework):
    """A Booster or an estimator. The library's own dump is read; onnxmltools takes no part.

    Options: ``double`` (True, False; by default where float32 would make one of two thresholds).
    """

    key = "lightgbm"
    title = "LightGBM"
    extra = "boosters"
    packages = {"lightgbm": "lightgbm"}

    def sees(self, source: Source) -> Form | None:
        tool = "its own dump"
        if source.path is None:
            known = source.packages[0] == "lightgbm" and source.is_a("lightgbm.Booster", "lightgbm.LGBMModel")
            return Form(self.key, f"{type(source.object).__name__} of LightGBM", tool) if known else None
        if source.head.startswith(b"tree\nversion="):
            return Form(self.key, "a model file of LightGBM", tool)
        names = source.pickled_classes
        if names and names[0].partition(".")[0] == "lightgbm":
            kind = f"a pickle of {names[0].rpartition('.')[2]} (LightGBM)"
            return Form(self.key, kind, tool, runs_code=True, safer="Without running code: save_model('model.txt')")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        import lightgbm

        notes: list[str] = []
        model = _load(source) if source.path is not None and not form.runs_code else read(source, request, notes)
        if isinstance(model, lightgbm.Booster):
            parsed = parse(model)
            classes: Any = range(parsed.class_count) if parsed.class_count else None
            booster = model
        else:
            parsed, classes = parsed_estimator(model)
            booster = model.booster_
        wished = request.option("double")
        double = parsed.collides if wished is None else bool(wished)
        if double and wished is None:
            notes.append("takes float64: thresholds that differ would be one float32 number")
        return _exported(parsed, classes, booster, request, notes, double)


def _exported(parsed: Parsed, classes: Any, booster: Any, request: Request, notes: list[str], double: bool) -> Exported:
    def ask(rows: Any) -> Any:
        return booster.predict(rows.astype("float64"))

    result = exported(parsed, classes, ask, request, notes, double=double, names=booster.feature_name())
    if not double:
        wider = ["takes float64: float32 was not close enough"]
        result.finer = lambda: _exported(parsed, classes, booster, request, wider, True)
    return result


def parsed_estimator(model: Any) -> tuple[Parsed, Any]:
    """A fitted estimator and its classes (None where it is no classifier). Raises ConversionError if never fitted."""
    try:
        booster = model.booster_
    except Exception as error:  # NotFittedError of whichever scikit-learn
        raise ConversionError(f"{type(model).__name__} is not fitted: call fit before converting") from error
    parsed = parse(booster)
    return parsed, model.classes_ if hasattr(model, "predict_proba") and parsed.class_count else None


def _load(source: Source) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_file=str(source.path))
    except (lightgbm.basic.LightGBMError, ValueError, KeyError) as error:
        raise ConversionError(f"{source} is damaged, or no model of LightGBM: {error}") from error
