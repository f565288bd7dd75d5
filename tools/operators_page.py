"""Writes docs/operators.md: every operator, its versions and types, and how it runs.

python tools/operators_page.py            # writes the page
python tools/operators_page.py --check    # exit status 1 where the page is not what it would write
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import onnx.defs

import sardonyx.ops  # noqa: F401  # registers the records
from sardonyx.graph.upgrade.registry import steps
from sardonyx.inspection.operators import FALLBACK, HOST, NATIVE, NO_EXAMPLE, TypeSupport, operators, type_support
from sardonyx.ops.registry import records

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operators.md"
GAPS = ROOT / "tests" / "inspection" / "type_gaps.txt"
REASONS = ROOT / "docs" / "fallback.txt"

HEAD = """# Operators

Made by `python tools/operators_page.py`; a test holds it against the code.

**native**: compiled code. **host**: a record of ours on Python objects (characters of strings, sequences, maps), which
native code cannot hold. **fallback**: onnx's reference implementation, reported by `sardonyx check` and refused under
`strict=True`. Types are those that the newest schema allows; half precision is computed in float32. Older versions are
upgraded to the newest when a model is read.
"""

COLUMNS = "| operator | versions | native | host | fallback |\n| --- | --- | --- | --- | --- |\n"


def versions(domain: str, name: str) -> str:
    """The opset versions in which an operator was defined or changed."""
    found = {s.since_version for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name)}
    return ", ".join(map(str, sorted(found)))


def types(support: Iterable[TypeSupport], how: str) -> str:
    """The types that run one way, by type parameter where there are several."""
    by_parameter: dict[str, list[str]] = defaultdict(list)
    parameters = {one.parameter for one in support}
    for one in support:
        if one.how == how:
            by_parameter[one.parameter].append(one.dtype.name)
    if len(parameters) == 1:
        return ", ".join(next(iter(by_parameter.values()), []))
    return "; ".join(f"{parameter}: {', '.join(names)}" for parameter, names in by_parameter.items())


def row(domain: str, name: str) -> str:
    """One operator's line of the table."""
    support = type_support(name, domain)
    native, host, fallback = (types(support, how) for how in (NATIVE, HOST, FALLBACK))
    unknown = all(one.how == NO_EXAMPLE for one in support)
    if unknown:
        known = (domain, name) in records() or bool(steps(domain, name))  # some are other operators once they are read
        native, fallback = ("yes", "") if known else ("", "yes")
    return f"| {name} | {versions(domain, name)} | {native} | {host} | {fallback} |"


def page() -> str:
    """The page as text."""
    parts = [HEAD]
    for domain, title in (("", "ai.onnx"), ("ai.onnx.ml", "ai.onnx.ml")):
        parts.append(
            f"\n## {title}\n\n| operator | versions | native | host | fallback |\n| --- | --- | --- | --- | --- |\n"
        )
        parts += [row(domain, name) + "\n" for d, name in operators() if d == domain]
    parts.append("\n## com.microsoft\n\nThe operators of optimised models; ONNX Runtime is the oracle.\n\n")
    foreign = sorted(name for domain, name in records() if domain == "com.microsoft")
    parts.append(", ".join(foreign) + ".\n")
    parts.append("\n## What is not native, and why\n\n")
    for path in (REASONS, GAPS):
        parts += [f"- {line}\n" for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return "".join(parts)


def main() -> int:
    warnings.simplefilter("ignore")
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text() if PAGE.exists() else ""
        if current != text:
            print(f"{PAGE} is not up to date: run python tools/operators_page.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
