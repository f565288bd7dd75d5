"""The fuzz targets for a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.model_bytes import run_random
from fuzz.random_graphs import check_seed


@pytest.mark.filterwarnings("ignore")
def test_mutated_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a finding is written there
    run_random(60, seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_graph_made_op_by_op(seed: int) -> None:
    check_seed(seed)
