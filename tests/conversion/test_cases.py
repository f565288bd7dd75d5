"""Cases of the table in docs/converters.md whose framework is installed here pass their certificates.

Of each framework up to 8, evenly spread over its list; every one with ``SARDONYX_EVERY_CASE=1``, which
``make test-converters`` sets. (The table itself was made from all of them.)
"""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

import sardonyx
from conversion.cases import Case
from sardonyx.conversion.recognition import all_frameworks

CASES = Path(__file__).parent / "cases"
FEW = 8


def cases() -> list[Any]:
    found = []
    for framework in all_frameworks():
        if not framework.missing() and (CASES / f"{framework.key}.py").exists():
            module = importlib.import_module(f"conversion.cases.{framework.key}")
            chosen = [case for case in module.CASES if not case.heavy and case.is_installed]
            if not os.environ.get("SARDONYX_EVERY_CASE"):
                chosen = chosen[:: -(-len(chosen) // FEW)] if chosen else []
            found += [pytest.param(case, id=f"{framework.key}-{case.title}") for case in chosen]
    return found


@pytest.mark.parametrize("case", cases())
def test_certificate(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what frameworks say while they train
        source, settings = case.build()
    certificate = sardonyx.convert(source, **settings).certificate
    assert certificate.passed, certificate.plain()
