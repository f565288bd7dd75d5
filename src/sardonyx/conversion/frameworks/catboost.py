"""CatBoost: model objects, .cbm files, pickles."""

from __future__ import annotations

from typing import Any

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._boosters.catboost import Parsed, parse
from sardonyx.conversion.frameworks._boosters.model import exported
from sardonyx.conversion.frameworks._sklearn.reading import read
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["CatBoostModels", "parsed_estimator"]


class CatBoostModels(Framework):
    """A model of numbers, through CatBoost's own exporter."""

    key = "catboost"
    title = "CatBoost"
    extra = "boosters"
    packages = {"catboost": "catboost"}

    def sees(self, source: Source) -> Form | None:
        tool = "CatBoost's own exporter"
        if source.path is None:
            known = source.packages[0] == "catboost" and source.is_a("catboost.CatBoost")
            return Form(self.key, f"{type(source.object).__name__} of CatBoost", tool) if known else None
        if source.head.startswith(b"CBM1"):
            return Form(self.key, "a model file of CatBoost", tool)
        names = source.pickled_classes
        if names and names[0].partition(".")[0] == "catboost":
            kind = f"a pickle of {names[0].rpartition('.')[2]} (CatBoost)"
            return Form(self.key, kind, tool, runs_code=True, safer="Without running code: save_model('model.cbm')")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        import catboost

        notes: list[str] = []
        model = _load(source) if source.path is not None and not form.runs_code else read(source, request, notes)
        parsed, classes = parsed_estimator(model)
        asked = "Probability" if classes is not None else "Exponent" if parsed.exponential else "RawFormulaVal"

        def ask(rows: Any) -> Any:  # estimators' own predict does not always take a prediction_type
            return catboost.CatBoost.predict(model, rows, prediction_type=asked)

        notes.append("what the exporter writes around the trees is made anew (IR version 3, ZipMap, transforms)")
        return exported(parsed, classes, ask, request, notes, names=model.feature_names_)


def parsed_estimator(model: Any) -> tuple[Parsed, Any]:
    """A fitted model and its classes (None where it is no classifier). Raises ConversionError if never fitted."""
    if not model.is_fitted():
        raise ConversionError(f"{type(model).__name__} is not fitted: call fit before converting")
    parsed = parse(model)
    known = list(model.classes_)
    if not parsed.class_count:
        return parsed, None
    return parsed, known if len(known) == parsed.class_count else list(range(parsed.class_count))


def _load(source: Source) -> Any:
    import catboost

    model = catboost.CatBoost()
    try:
        model.load_model(str(source.path))
    except catboost.CatBoostError as error:
        raise ConversionError(f"{source} is damaged, or no model of CatBoost: {error}") from error
    return model
