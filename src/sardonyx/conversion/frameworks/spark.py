"""SparkML: fitted pipelines, models and transformers, objects or saved folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["Spark"]

_PREFIX = "org.apache.spark.ml."
_TOOL = "sardonyx and onnxmltools"


class Spark(Framework):
    """A PipelineModel, a fitted model or a transformer, and the folders that ``save`` writes of them.

    Options: ``columns`` ({column: type}, types ``double``, ``float``, ``int``, ``long``, ``string``, ``vector[N]``)
    says what the input columns hold, where the stages do not.
    """

    key = "spark"
    title = "SparkML"
    extra = "spark"
    packages: ClassVar[Mapping[str, str]] = {
        "pyspark": "pyspark>=4.0",
        "onnxmltools": "onnxmltools>=1.16",
        "setuptools": "setuptools",
    }

    def sees(self, source: Source) -> Form | None:
        if source.path is None:
            fitted = source.is_a("pyspark.Transformer", "pyspark.Estimator") and "pyspark" in source.packages
            return Form(self.key, f"{type(source.object).__name__} of SparkML", _TOOL) if fitted else None
        kind = saved_class(source)
        if kind is None:
            return None
        return Form(self.key, f"a saved {kind.rpartition('.')[2]} of SparkML", _TOOL)

    def require(self, form: Form) -> None:
        super().require(form)
        from sardonyx.conversion.frameworks._spark.session import check_java

        check_java(form.kind)

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        from sardonyx.conversion.frameworks._spark.conversion import convert

        return convert(source, saved_class(source) or "", request)


def saved_class(source: Source) -> str | None:
    """The class that a folder's metadata names; None where it is no folder of SparkML."""
    if not source.is_folder or source.path is None:
        return None
    for part in sorted(source.path.glob("metadata/part-*")):
        try:
            found: Any = json.loads(part.read_text(encoding="utf-8").partition("\n")[0])
        except (OSError, ValueError):
            continue
        name = found.get("class") if isinstance(found, dict) else None
        if isinstance(name, str) and name.startswith((_PREFIX, "pyspark.ml.")):
            return name
    return None
