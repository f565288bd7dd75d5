"""What Spark itself says: a model's transform on a table made from arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._spark.session import Session, cause
from sardonyx.conversion.quiet import quiet
from sardonyx.errors import ConversionError

__all__ = ["Reference"]


class Reference:
    """Arrays by the names of ``outputs`` (whose kinds are numpy's letters) for arrays by the names of ``inputs`` (whose
    types are Spark's)."""

    def __init__(
        self, session: Session, stages: list[Any], inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        from pyspark.ml import PipelineModel

        self._session, self._inputs, self._outputs = session, inputs, outputs
        self._model = PipelineModel(stages)

    def __call__(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        columns = [_column(np.asarray(feeds[name]), kind) for name, kind in self._inputs.items()]
        with quiet():
            frame = self._session.spark.createDataFrame(list(zip(*columns, strict=True)), self._schema())
            try:
                rows = self._model.transform(frame).select(*[f"`{name}`" for name in self._outputs]).collect()
            except Exception as error:  # a stage that refuses a value
                raise ConversionError(f"Spark itself fails on the data: {cause(error)}") from error
        return {name: _array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(self._outputs.items())}

    def _schema(self) -> Any:
        from pyspark.ml.linalg import VectorUDT
        from pyspark.sql import types

        known = {
            "double": types.DoubleType(),
            "float": types.FloatType(),
            "int": types.IntegerType(),
            "long": types.LongType(),
            "string": types.StringType(),
        }
        fields = [types.StructField(name, known.get(kind) or VectorUDT()) for name, kind in self._inputs.items()]
        return types.StructType(fields)


def _column(values: Any, kind: str) -> list[Any]:
    if kind.startswith("vector"):
        from pyspark.ml.linalg import Vectors

        return [Vectors.dense(row.tolist()) for row in values]
    flat: list[Any] = values.reshape(-1).tolist()
    return [str(text) for text in flat] if kind == "string" else flat


def _array(values: list[Any], kind: str) -> Any:
    if kind == "O":
        return np.asarray(values, object)
    dense = [one.toArray() if hasattr(one, "toArray") else one for one in values]
    return np.asarray(dense, np.float64).astype(np.int64 if kind == "i" else np.float64)
