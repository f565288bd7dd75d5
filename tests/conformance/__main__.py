"""Runs onnx's backend suite on sardonyx; fails on an unexpected failure and on an unexpected pass.

    PYTHONPATH=tests python -m conformance [--jobs 2] [-k REGEX] [--kinds node,light] [--json FILE]

Every case runs in a guarded worker process. What is known to fail stands in ``expected_failures.txt``, one
``kind/name: reason`` a line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from conformance.cases import KINDS, Case, collect
from conformance.compare import compare_all
from conformance.pool import Outcome, run_guarded

EXPECTED_FAILURES = Path(__file__).with_name("expected_failures.txt")
SLOWEST_SHOWN = 5


def run_case(case: Case) -> tuple[int, int]:
    """Runs one case on sardonyx; returns its numbers of Python steps and host steps; raises what went wrong."""
    import sardonyx  # here, in the worker: the parent stays free of the engine

    material = case.load()
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = sardonyx.InferenceSession(material.model, options)
    if not material.sets:
        raise ValueError("the case holds no data")
    for feeds, expected in material.sets:
        got = session.run(None, feeds)
        compare_all(got, expected, rtol=case.rtol, atol=case.atol, values=case.compare_values)
    return len(session.program.python_steps), len(session.program.host_steps)


def read_expected_failures() -> dict[str, str]:
    """Case id -> reason."""
    lines = EXPECTED_FAILURES.read_text().splitlines()
    pairs = (line.partition(": ") for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): reason.strip() for name, _, reason in pairs}


def run(cases: list[Case], jobs: int, timeout: float, memory: int) -> dict[str, Outcome]:
    """Outcomes by case id."""
    outcomes: dict[str, Outcome] = {}
    for index, outcome in run_guarded(
        lambda i: run_case(cases[i]), len(cases), jobs=jobs, timeout=timeout, memory=memory
    ):
        outcomes[cases[index].id] = outcome
        if len(outcomes) % 250 == 0:
            print(f"    {len(outcomes)} of {len(cases)} cases", flush=True)
    return outcomes


def report(outcomes: dict[str, Outcome], expected: dict[str, str], seconds: float) -> list[str]:
    """Prints the summary and returns the lines that make the run fail."""
    passed = {name: outcome for name, outcome in outcomes.items() if not outcome.error}
    kinds = Counter(_how(outcome.value) for outcome in passed.values())
    by_kind = Counter(name.partition("/")[0] for name in outcomes)
    passed_by_kind = Counter(name.partition("/")[0] for name in passed)
    for kind, total in by_kind.items():
        print(f"    {kind:20s} {passed_by_kind[kind]:5d} of {total:5d} pass")
    print(
        f"    {len(passed)} of {len(outcomes)} cases pass in {seconds:.0f} s: {kinds['native']} natively, "
        f"{kinds['host']} with steps of ours on Python objects, {kinds['python']} with a step of the fallback"
    )
    slowest = sorted(outcomes, key=lambda name: -outcomes[name].seconds)[:SLOWEST_SHOWN]
    print("    slowest: " + ", ".join(f"{name} {outcomes[name].seconds:.1f} s" for name in slowest))
    problems = [
        f"FAIL {name}: {outcome.error}"
        for name, outcome in sorted(outcomes.items())
        if outcome.error and name not in expected
    ]
    problems += [f"UNEXPECTED PASS {name} (listed as: {expected[name]})" for name in sorted(passed) if name in expected]
    return problems


def _how(steps: tuple[int, int]) -> str:
    python, host = steps
    return "python" if python else "host" if host else "native"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("-k", metavar="REGEX", default="", help="only cases whose kind/name matches")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated, of: " + ", ".join(KINDS))
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one case")
    parser.add_argument("--memory-gb", type=float, default=16.0, help="address space of a worker")
    parser.add_argument("--json", type=Path, help="write every outcome to this file")
    arguments = parser.parse_args()

    cases = [case for case in collect(tuple(arguments.kinds.split(","))) if re.search(arguments.k, case.id)]
    expected = read_expected_failures()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sardonyx-conformance-") as cache:
        os.environ["SARDONYX_CACHE_DIR"] = cache  # an old entry of the user's cache must not hide a new mistake
        outcomes = run(cases, arguments.jobs, arguments.timeout, int(arguments.memory_gb * 2**30))
    problems = report(outcomes, expected, time.monotonic() - start)
    if not arguments.k and tuple(arguments.kinds.split(",")) == KINDS:
        problems += [f"UNKNOWN CASE in {EXPECTED_FAILURES.name}: {name}" for name in expected if name not in outcomes]
    if arguments.json:
        record = {name: asdict(outcome) for name, outcome in outcomes.items()}
        arguments.json.write_text(json.dumps(record, indent=1, sort_keys=True))
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
