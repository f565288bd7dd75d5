"""docs/operators.md says what is true of the code."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("operators_page", ROOT / "tools" / "operators_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = module.page()
    assert (ROOT / "docs" / "operators.md").read_text() == text, "run python tools/operators_page.py"
