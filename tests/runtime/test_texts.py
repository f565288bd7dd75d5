"""Handles of strings."""

from __future__ import annotations

import numpy as np
import pytest

from sardonyx.errors import InvalidInputError
from sardonyx.runtime.texts import _Handles


def test_equal_strings_have_equal_handles() -> None:
    handles = _Handles({"": 0, "known": 1})
    first = handles.of(np.asarray([["new", ""], ["known", "new"]], object), "x")
    second = handles.of(np.asarray(["other", "new", "known"]), "y")
    third = handles.of(np.asarray([b"other", b"known", b"fresh"]), "z")
    assert first.tolist() == [[2, 0], [1, 2]]
    assert second.tolist() == [3, 2, 1]
    assert third.tolist() == [3, 1, 4]
    assert handles.fresh == ["new", "other", "fresh"]


@pytest.mark.parametrize("wrong", [[1.5], [None], [["list"]], [b"\xff"]])
def test_what_is_no_string(wrong: list[object]) -> None:
    array = np.empty(1, object)
    array[0] = wrong[0]
    with pytest.raises(InvalidInputError, match="'x': expected strings"):
        _Handles({"": 0}).of(array, "x")
