"""Random graphs of common operators, with symbolic sizes, against onnx's reference implementation."""

from __future__ import annotations

import pytest

from compiler.graph_writer import check_graph


@pytest.mark.parametrize("seed", range(60))
def test_a_random_graph(seed: int) -> None:
    check_graph(seed, nodes=2 + seed % 14)
