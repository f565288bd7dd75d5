"""docs/converters.md has a row for every case, and every row passed."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def page_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("converters_page", ROOT / "tools" / "converters_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def titles_in_code(path: Path) -> list[str]:
    """The titles that stand in a file of cases, which needs a framework that is not installed here."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    cases = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Case"]
    titles = [call.args[0].value for call in cases if isinstance(call.args[0], ast.Constant)]
    return [str(title) for title in titles]


def test_every_case_has_a_row_that_passed() -> None:
    tool = page_tool()
    sections = tool.sections_of((ROOT / "docs" / "converters.md").read_text())
    for framework in tool.with_cases():
        rows = [line for line in sections[framework.title].splitlines() if line.startswith("| ")][2:]
        titles = [line.split("|")[1].strip() for line in rows]
        if framework.missing():
            written = titles_in_code(tool.CASES / f"{framework.key}.py")
            assert [title for title in titles if title in written] == written, "run python tools/converters_page.py"
        else:
            cases = importlib.import_module(f"conversion.cases.{framework.key}").CASES
            assert titles == [case.title for case in cases], "run python tools/converters_page.py"
        assert all("passed" in line for line in rows)


def test_the_introduction_is_the_pages_beginning() -> None:
    page = (ROOT / "docs" / "converters.md").read_text()
    assert page.startswith((ROOT / "tools" / "converters_introduction.md").read_text()), "run tools/converters_page.py"
