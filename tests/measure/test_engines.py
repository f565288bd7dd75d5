"""The engines that are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sardonyx.errors import ProviderError
from sardonyx.measure.engines import open_engine


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ProviderError, match="no engine is called 'other'"):
        open_engine("other", Path("m.onnx"), threads=1)
