"""The model's inputs, and the arrays or frames that the estimator wants for them.

text      a vectorizer comes first        one input of shape (rows,), strings
labels    LabelEncoder, LabelBinarizer    one input of shape (rows,), what the labels are
columns   a ColumnTransformer chooses     one input of shape (rows, 1) per column, by its name
matrix    anything else                   one input ``X`` of shape (rows, columns)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._sklearn.steps import chain, kind_of, unwrapped
from sardonyx.errors import ConversionError

__all__ = ["Column", "Signature", "signature"]

_TEXT = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_LABELS = ("LabelEncoder", "LabelBinarizer")
_MISSING_WORD = ""


@dataclass(frozen=True)
class Column:
    """One column of the training data: its name, whether it holds strings, and the estimators that read it first, with
    its position among their columns."""

    name: str
    text: bool
    readers: tuple[tuple[Any, int], ...]


@dataclass(frozen=True)
class Signature:
    """How the model is called. ``double`` says that numbers are float64."""

    form: str
    columns: tuple[Column, ...]
    double: bool
    named: bool
    frame: bool

    @property
    def inputs(self) -> list[str]:
        """Names of the model's inputs."""
        return [column.name for column in self.columns] if self.form == "columns" else ["X"]

    def types(self, batch: int | None) -> list[tuple[str, Any]]:
        """As skl2onnx declares inputs."""
        from skl2onnx.common import data_types as kinds

        number = kinds.DoubleTensorType if self.double else kinds.FloatTensorType
        if self.form == "columns":
            return [(c.name, (kinds.StringTensorType if c.text else number)([batch, 1])) for c in self.columns]
        if self.form == "matrix":
            return [("X", (kinds.StringTensorType if self.columns[0].text else number)([batch, len(self.columns)]))]
        text = self.form == "text" or self.columns[0].text
        return [("X", (kinds.StringTensorType if text else kinds.Int64TensorType)([batch]))]

    def arguments(self, feeds: Mapping[str, Any]) -> Any:
        """What the estimator is called with for the model's inputs: a frame where it was fitted on one, else an array.
        Numbers become float64, in which people call scikit-learn."""
        if self.form in ("text", "labels"):
            return feeds["X"]
        if self.form == "matrix":
            array = np.asarray(feeds["X"])
            parts = [array[:, i] for i in range(len(self.columns))]
        else:
            parts = [np.asarray(feeds[c.name])[:, 0] for c in self.columns]
        if self.frame:
            import pandas

            data = [_for_frame(c, p) for c, p in zip(self.columns, parts, strict=True)]
            return pandas.DataFrame({c.name: part for c, part in zip(self.columns, data, strict=True)})
        if any(column.text for column in self.columns):
            data = [_for_frame(c, p) for c, p in zip(self.columns, parts, strict=True)]
            return np.stack([part.astype(object) for part in data], axis=1)
        return np.stack(parts, axis=1).astype(np.float64)


def _for_frame(column: Column, part: Any) -> Any:
    if not column.text:
        return part.astype(np.float64)
    text = part.astype(object)
    marks = {_mark(reader) for reader, _ in column.readers}
    if marks and all(isinstance(mark, float) for mark in marks if mark is not ...) and marks != {...}:
        text = np.where(text == _MISSING_WORD, np.nan, text)
    return text


def _mark(reader: Any) -> Any:
    """What an imputer takes as missing; ``...`` of anything else."""
    return getattr(reader, "missing_values", ...) if kind_of(reader) == "SimpleImputer" else ...


def signature(model: Any, double: bool) -> Signature:
    """The inputs of an estimator. Raises ConversionError where a column is read as text and as numbers."""
    model = unwrapped(model)
    first = _first(model)
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = getattr(first, "feature_names_in_", None)
    if kind_of(first) in _TEXT or _all_text(first):
        return Signature("text", (Column("X", True, ((first, 0),)),), double, False, False)
    if kind_of(first) in _LABELS:
        text = np.asarray(first.classes_).dtype.kind in "OSUT"
        return Signature("labels", (Column("X", text, ((first, 0),)),), double, False, False)
    count = getattr(model, "n_features_in_", None) or getattr(first, "n_features_in_", None)
    if count is None:
        raise ConversionError(f"{kind_of(model)} does not say how many columns it was fitted on (n_features_in_)")
    known = [str(name) for name in names] if names is not None else [f"x{i}" for i in range(count)]
    columns = tuple(_column(first, name, i) for i, name in enumerate(known))
    mixed = len({column.text for column in columns}) > 1
    by_name = names is not None and _chooses_by_name(first)
    form = "columns" if mixed or by_name else "matrix"
    return Signature(form, columns, double, names is not None, names is not None)


def _first(model: Any) -> Any:
    return next((step for _, step in chain(model) if not isinstance(step, str)), model)


def _all_text(first: Any) -> bool:
    """A union of vectorizers."""
    return kind_of(first) == "FeatureUnion" and all(
        kind_of(_first(part)) in _TEXT for _, part in first.transformer_list if not isinstance(part, str)
    )


def _chooses_by_name(first: Any) -> bool:
    return kind_of(first) == "ColumnTransformer"


def _column(first: Any, name: str, index: int) -> Column:
    readers = tuple(_readers(first, name, index))
    found = {_is_text(reader, position) for reader, position in readers} - {None}
    if len(found) > 1:
        raise ConversionError(f"column {name!r} is read both as text and as numbers; split it into two columns")
    return Column(name, bool(found and found.pop()), readers)


def _readers(step: Any, name: str, index: int) -> list[tuple[Any, int]]:
    """The estimators that read column ``index`` (called ``name``) of a step's input first."""
    step = _first(step)
    if kind_of(step) == "ColumnTransformer":
        found = []
        for _, part, chosen in step.transformers_:
            positions = positions_of(chosen, step, name)
            if index in positions and part != "drop":
                found += _readers(part, name, positions.index(index)) if not isinstance(part, str) else []
        return found
    if kind_of(step) == "FeatureUnion":
        return [
            r for _, part in step.transformer_list if not isinstance(part, str) for r in _readers(part, name, index)
        ]
    return [(step, index)]


def positions_of(chosen: Any, step: Any, name: str = "") -> list[int]:
    """A ColumnTransformer's choice of columns, as positions."""
    names = [str(n) for n in getattr(step, "feature_names_in_", ())]
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            begin = names.index(chosen.start) if chosen.start is not None else 0
            end = names.index(chosen.stop) + 1 if chosen.stop is not None else len(names)
            return list(range(begin, end))
        return list(range(step.n_features_in_))[chosen]
    if isinstance(chosen, str):
        return [names.index(chosen)]
    if isinstance(chosen, int | np.integer):
        return [int(chosen)]
    listed: Sequence[Any] = list(chosen)
    if listed and isinstance(listed[0], bool | np.bool_):
        return [i for i, wanted in enumerate(listed) if wanted]
    return [names.index(c) if isinstance(c, str) else int(c) for c in listed]


def _is_text(reader: Any, position: int) -> bool | None:
    """Whether an estimator reads its column as text; None where either will do."""
    if kind_of(reader) in _TEXT:
        return True
    categories = getattr(reader, "categories_", None)
    if categories is not None and position < len(categories):
        return any(isinstance(value, str) for value in categories[position])
    statistics = getattr(reader, "statistics_", None)
    if statistics is not None:
        return isinstance(statistics[position], str)
    return (
        False
        if getattr(reader, "n_features_in_", None) is not None and kind_of(reader) != "FunctionTransformer"
        else None
    )
