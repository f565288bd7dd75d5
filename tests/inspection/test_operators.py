"""Every type that onnx's schemas name runs natively, or the reason stands in ``type_gaps.txt``."""

from __future__ import annotations

from pathlib import Path

import pytest

from sardonyx import dtypes
from sardonyx.inspection.operators import NATIVE, operators, type_support

GAPS = Path(__file__).with_name("type_gaps.txt")


def gaps() -> dict[tuple[str, str], set[str]]:
    """The listed types by (operator, parameter)."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in GAPS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            what, _, reason = line.partition(": ")
            assert reason.strip(), f"no reason: {line}"
            op_type, parameter, *types = what.split()
            found.setdefault((op_type, parameter), set()).update(types)
    return found


def test_types_run_natively_but_for_the_listed_ones() -> None:
    known, missing, met = gaps(), [], set()
    for domain, op_type in operators():
        for support in type_support(op_type, domain):
            if support.how != "fallback":
                continue
            what = op_type, support.parameter
            listed = known.get(what, set()) & {"*", support.dtype.name}
            met |= {(*what, name) for name in listed}
            if not listed:
                missing.append(f"{op_type} {support.parameter} {support.dtype.name}")
    assert not missing
    stale = {(*what, name) for what, names in known.items() for name in names} - met
    assert not stale, "these run natively now: take them out of the list"


def test_listed_gaps_exist() -> None:
    names = {name for _, name in operators()}
    types = {dtype.name for dtype in dtypes.ALL} | {"*"}
    for (op_type, _), listed in gaps().items():
        assert op_type in names
        assert listed <= types


@pytest.mark.parametrize(
    ("op_type", "parameter", "dtype", "how"),
    [
        ("Add", "T", dtypes.bfloat16, NATIVE),
        ("Cast", "T2", dtypes.float8_e5m2, NATIVE),
        ("Cast", "T1", dtypes.string, "host"),
        ("Reshape", "T", dtypes.string, NATIVE),
        ("Gather", "T", dtypes.complex128, NATIVE),
        ("ImageDecoder", "T1", dtypes.uint8, "fallback"),
        ("RandomUniform", "T", dtypes.float32, NATIVE),
        ("RandomNormalLike", "T1", dtypes.string, NATIVE),
        ("MaxRoiPool", "T", dtypes.float32, "no example"),
    ],
)
def test_support(op_type: str, parameter: str, dtype: dtypes.DType, how: str) -> None:
    found = {(s.parameter, s.dtype): s.how for s in type_support(op_type)}
    assert found[parameter, dtype] == how
