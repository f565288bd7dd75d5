"""The random graphs themselves: mistakes are seen, seeds repeat, and failing cases become small."""

from __future__ import annotations

import numpy as np
import pytest

from fuzz.graphs.cases import case_of, disputed, smallest
from fuzz.graphs.tracks import difference


@pytest.mark.parametrize("seed", range(40, 50))
def test_mistakes_are_seen(seed: int) -> None:
    case, _ = case_of(seed, 12)
    assert not disputed(case)
    for name in case.outputs:
        value = case.values[name]
        for variant, truth in enumerate(value.truth):
            tracks = [track[variant] for track in value.tracks]
            assert difference(truth, tracks) == ""
            assert difference(truth[None], tracks).startswith("shape")
            assert "instead of" in difference(truth.astype(np.complex64), tracks)
            if truth.size and value.is_float and np.abs(truth).max() > 0.1:
                wrong = truth.copy()
                wrong[np.unravel_index(np.abs(truth).argmax(), truth.shape)] *= 1.2
                assert difference(wrong, tracks)


def test_a_seed_gives_the_same_graph_again() -> None:
    models = [case_of(77, 20)[0].model.SerializeToString() for _ in range(2)]
    assert models[0] == models[1]


def test_a_failing_case_becomes_one_node() -> None:
    case, _ = case_of(3, 25)
    culprit = case.nodes[len(case.nodes) // 2]
    assert smallest(case, lambda part: culprit in part.nodes).nodes == (culprit,)
