"""Estimators inside estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sardonyx.errors import ConversionError

__all__ = ["chain", "check_fitted", "check_supported", "everything", "final", "kind_of", "unwrapped"]

_BEYOND: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "SimpleImputer",
        lambda step: bool(step.add_indicator),
        "skl2onnx leaves the columns of add_indicator=True out. Put a MissingIndicator beside it with FeatureUnion",
    ),
    (
        "GaussianProcessClassifier",
        lambda step: True,
        "its posterior needs a linear solver, which ONNX has not. Use an SVC, or a calibrated classifier",
    ),
    (
        "HistGradientBoostingClassifier",
        lambda step: step.is_categorical_ is not None and any(step.is_categorical_),
        "skl2onnx has no sets of categories for it. Use LightGBM or XGBoost for such columns, or a OneHotEncoder",
    ),
    (
        "HistGradientBoostingRegressor",
        lambda step: step.is_categorical_ is not None and any(step.is_categorical_),
        "skl2onnx has no sets of categories for it. Use LightGBM or XGBoost for such columns, or a OneHotEncoder",
    ),
)
_SEARCHES = ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")


def kind_of(model: Any) -> str:
    """The class name; of ``passthrough`` and ``drop``, these words."""
    return model if isinstance(model, str) else type(model).__name__


def unwrapped(model: Any) -> Any:
    """The best estimator of a search."""
    return unwrapped(model.best_estimator_) if hasattr(model, "best_estimator_") else model


def chain(model: Any) -> list[tuple[str, Any]]:
    """The steps, one after the other, with pipelines in pipelines laid flat; of anything else, itself."""
    model = unwrapped(model)
    if not (hasattr(model, "steps") and hasattr(model, "named_steps")):
        return [("", model)]
    return [
        (f"{name}.{inner}" if inner else name, step)
        for name, part in model.steps
        if part is not None
        for inner, step in (chain(part) if not isinstance(part, str) else [("", part)])
    ]


def final(model: Any) -> Any:
    """The last step."""
    return chain(model)[-1][1]


def everything(model: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The estimator and all inside it, with their places in words: ``pipeline.scaler``."""
    model = unwrapped(model)
    if isinstance(model, str) or model is None:
        return
    yield name, model
    for inner, part in _parts(model):
        yield from everything(part, f"{name}.{inner}" if name else inner)


def _parts(model: Any) -> list[tuple[str, Any]]:
    if hasattr(model, "named_steps"):
        return [(name, part) for name, part in model.steps]
    if hasattr(model, "transformers_"):
        return [(name, part) for name, part, _ in model.transformers_]
    if hasattr(model, "transformer_list"):
        return list(model.transformer_list)
    found = []
    for attribute in ("named_estimators_", "estimators_", "estimator_", "final_estimator_", "regressor_", "base_"):
        inner = getattr(model, attribute, None)
        if inner is None:
            continue
        if isinstance(inner, dict):
            return [*inner.items(), *_final(model)]
        inner = list(getattr(inner, "flat", inner)) if isinstance(inner, list) or hasattr(inner, "flat") else [inner]
        if inner and hasattr(inner[0], "get_params"):
            found += [(f"{attribute.rstrip('_')}{i}" if len(inner) > 1 else "", e) for i, e in enumerate(inner[:1])]
    return found


def _final(model: Any) -> list[tuple[str, Any]]:
    return [("final_estimator", model.final_estimator_)] if hasattr(model, "final_estimator_") else []


def check_fitted(model: Any) -> None:
    """Raises ConversionError naming the first step that was never fitted."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if type(model).__name__ in _SEARCHES and not hasattr(model, "best_estimator_"):
        raise ConversionError(f"{kind_of(model)} holds no fitted estimator: call fit (with refit=True) before")
    for name, step in chain(model):
        if isinstance(step, str):
            continue
        try:
            check_is_fitted(step)
        except NotFittedError as error:
            raise ConversionError(f"{_place(name, step)} is not fitted: call fit before converting") from error
        except TypeError as error:
            raise ConversionError(f"{_place(name, step)} is no estimator of scikit-learn's kind: {error}") from error


def check_supported(model: Any) -> None:
    """Raises ConversionError naming the first estimator, with its step, that there is no converter for."""
    from skl2onnx._supported_operators import sklearn_operator_name_map as known

    for name, step in everything(model):
        for kind, applies, advice in _BEYOND:
            if kind_of(step) == kind and applies(step):
                raise ConversionError(f"{_place(name, step)} cannot be converted: {advice}")
        if type(step) in known or kind_of(step) in ("Pipeline", "ColumnTransformer", "FeatureUnion"):
            continue
        raise ConversionError(
            f"{_place(name, step)} ({type(step).__module__}) cannot be converted: skl2onnx knows no converter for it. "
            f"Replace it by one that has a converter (https://onnx.ai/sklearn-onnx/supported.html), or register one "
            f"with skl2onnx.update_registered_converter"
        )


def _place(name: str, step: Any) -> str:
    return f"step {name!r}, {kind_of(step)}," if name else f"{kind_of(step)}"
