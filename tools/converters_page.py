"""Writes docs/converters.md: what is converted, by what, and the certificates of models made here.

    python tools/converters_page.py                  # every framework that is installed here; the others' tables stay
    python tools/converters_page.py torch sklearn    # only these

The cases are in tests/conversion/cases, one file per framework; a test holds the page's rows against them.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from pathlib import Path

import sardonyx
from sardonyx.conversion.certificate import Certificate
from sardonyx.conversion.framework import Framework
from sardonyx.conversion.recognition import all_frameworks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "converters.md"
INTRODUCTION = ROOT / "tools" / "converters_introduction.md"
CASES = ROOT / "tests" / "conversion" / "cases"

COLUMNS = (
    "| model | rows | largest absolute | largest relative | ulp | label flips | split values (rows there, differing) "
    "| |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
)


def with_cases() -> list[Framework]:
    """The frameworks that there are cases for, in the order of their titles."""
    found = [f for f in all_frameworks() if (CASES / f"{f.key}.py").exists()]
    return sorted(found, key=lambda framework: framework.title.lower())


def row(title: str, certificate: Certificate) -> str:
    """One case's line: the worst of its outputs."""
    outputs = certificate.outputs
    numbers = [output for output in outputs if output.kind != "labels"]
    absolute, relative, ulp = (
        max((getattr(o, n) for o in numbers), default=0.0) for n in ("absolute", "relative", "ulp")
    )
    splits = certificate.thresholds
    at_splits = f"{splits.values} ({splits.rows}, {splits.differ})" if splits else ""
    flips = sum(output.flips for output in outputs)
    allowed = "one step" if all(output.step for output in outputs) else f"{certificate.tolerance:g}"
    return (
        f"| {title} | {certificate.data['rows']} | {absolute:.1e} | {relative:.1e} | {ulp:.0f} | {flips} | {at_splits} "
        f"| {'passed' if certificate.passed else 'DIFFERS'}, {allowed} |\n"
    )


def section(framework: Framework) -> str:
    """A framework's heading, its table, and what it was made with."""
    cases = importlib.import_module(f"conversion.cases.{framework.key}").CASES
    rows = []
    versions: dict[str, str] = {}
    for case in cases:
        if not case.is_installed:
            raise SystemExit(f"{framework.key}: {case.title} needs {', '.join(case.needs)}")
        start = time.perf_counter()
        source, settings = case.build()
        certificate = sardonyx.convert(source, **settings).certificate
        versions |= certificate.versions
        rows.append(row(case.title, certificate))
        print(f"{framework.key}: {rows[-1].strip()} {time.perf_counter() - start:.1f} s", flush=True)
    made_with = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return f"## {framework.title}\n{COLUMNS}{''.join(rows)}\nMade with {made_with}.\n"


def sections_of(page: str) -> dict[str, str]:
    """The sections that a page has, by title."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def main(wanted: list[str]) -> int:
    sys.path.insert(0, str(ROOT / "tests"))
    made = sections_of(PAGE.read_text()) if PAGE.exists() else {}
    failed = False
    for framework in with_cases():
        if (wanted and framework.key not in wanted) or framework.missing():
            print(f"{framework.key}: left as it is")
            continue
        made[framework.title] = section(framework)
        failed |= "DIFFERS" in made[framework.title]
    tables = [made[framework.title] for framework in with_cases() if framework.title in made]
    PAGE.write_text("\n".join([INTRODUCTION.read_text().rstrip() + "\n", *tables]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
