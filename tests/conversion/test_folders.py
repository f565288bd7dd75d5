"""Folders that SparkML saved, told from their metadata; no Spark needs to be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sardonyx.conversion.frameworks.spark import Spark
from sardonyx.conversion.source import Source


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"class":"org.apache.spark.ml.PipelineModel","uid":"p"}\n', "a saved PipelineModel of SparkML"),
        ('{"class":"org.apache.spark.ml.feature.IDFModel"}', "a saved IDFModel of SparkML"),
        ('{"class":"org.example.Model"}', None),
        ('["org.apache.spark.ml.PipelineModel"]', None),
        ("no JSON", None),
        ("", None),
    ],
)
def test_metadata(tmp_path: Path, text: str, kind: str | None) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "part-00000-x.txt").write_text(text)
    form = Spark().sees(Source(tmp_path))
    assert (form.kind if form else None) == kind
