"""The fuzz targets for a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.model_bytes import run_random


@pytest.mark.filterwarnings("ignore")
def test_mutated_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a finding is written there
    assert run_random(5.0, seed=1) > 50
