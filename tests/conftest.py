"""Options of the test suite."""

from __future__ import annotations

import pytest

from conversion.requirements import left_out


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files of generated code anew")


def pytest_report_header() -> str:
    missing = left_out()
    if not missing:
        return "conversions: every framework is installed"
    names = ", ".join(missing)
    return f"conversions left out, because packages are missing: {names} (make test-converters runs them)"
