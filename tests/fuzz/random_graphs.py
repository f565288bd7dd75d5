"""Random well-formed graphs of 2 to 30 nodes for as long as you like, each in a guarded process.

    PYTHONPATH=tests python -m fuzz.random_graphs --seconds 1800 [--jobs 2] [--first-seed N]
    PYTHONPATH=tests python -m fuzz.random_graphs --seed S          # one graph again, made as small as it still fails

A graph is made op by op: every node is computed by onnx's reference implementation and by ONNX Runtime as it is added,
and is not taken if they differ (counted as *disputed*) or its result hangs on the last bit. Prints every graph that
crashes, hangs, is refused or differs, by its seed, saves the smallest part that still does in ``--findings``, and
exits with 1 if there was one. ``--seed`` runs inside of a guarded process too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import onnx

import sardonyx.compiler.compile as compiling
from conformance.pool import run_guarded
from fuzz.graphs.cases import Case, case_of, check, disputed, save, smallest

BATCH = 200
MEMORY = 16 << 30


def graph_nodes(seed: int) -> int:
    """2 to 30."""
    return 2 + seed * 7919 % 29


def check_seed(seed: int) -> tuple[list[str], Counter[str], bool]:
    """The operators of one random graph, disputes on the way, and whether it is disputed as a whole; raises if it is
    wrong."""
    case, disputes = case_of(seed, graph_nodes(seed))
    wrong = check(case)
    if wrong:
        raise AssertionError(wrong + (" (ONNX Runtime differs from the reference as well)" if disputed(case) else ""))
    operators = [op_type for node in case.nodes for op_type in operators_of(node)]
    return operators, disputes, disputed(case)


def check_in_worker(seed: int) -> tuple[list[str], Counter[str], bool]:
    """``check_seed`` in a process that compiles by itself: for small kernels that is faster than with helpers."""
    compiling.default_threads = lambda: 1  # type: ignore[assignment]
    return check_seed(seed)


def operators_of(node: onnx.NodeProto) -> list[str]:
    """Of a node and of its bodies."""
    found = [node.op_type]
    for attribute in node.attribute:
        found += [op_type for inner in attribute.g.node for op_type in operators_of(inner)]
    return found


def kind(error: str) -> str:
    """What sort of failure it is, so that making a case smaller does not turn it into another."""
    return error.split(":")[0] + (error.split(":")[1] if "Error" in error.split(":")[0] else "")[:25]


def guarded(case: Case, timeout: float) -> str:
    """The failure of one case, in a process of its own."""
    [(_, outcome)] = run_guarded(lambda _: check(case), 1, jobs=1, timeout=timeout, memory=MEMORY)
    return outcome.error or str(outcome.value)


def shrink(seed: int, folder: Path, timeout: float) -> str:
    """Makes a failing graph small, saves it, and describes it; says so if the graph is all right."""
    case, _ = case_of(seed, graph_nodes(seed))
    error = guarded(case, timeout)
    if not error:
        return f"seed {seed}: all right, {len(case.nodes)} nodes"
    part = smallest(case, lambda part: kind(guarded(part, timeout)) == kind(error))
    path = save(part, folder, f"seed-{seed}")
    return f"seed {seed}: {guarded(part, timeout)}\n{onnx.printer.to_text(part.model)}\nsaved as {path}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="only this graph")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one graph")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="folder for what fails")
    options = parser.parse_args()
    if options.seed is not None:
        print(shrink(options.seed, options.findings, options.timeout))
        return 0
    begin, first, failing = time.monotonic(), options.first_seed, []
    graphs, whole, operators, disputes = 0, 0, Counter[str](), Counter[str]()
    while time.monotonic() < begin + options.seconds:
        tasks = run_guarded(
            lambda k, first=first: check_in_worker(first + k) if time.monotonic() < begin + options.seconds else None,
            BATCH,
            jobs=options.jobs,
            timeout=options.timeout,
            memory=MEMORY,
        )
        for k, outcome in tasks:
            if outcome.error:
                failing.append(first + k)
                print(f"seed {first + k}: {outcome.error}", flush=True)
            if outcome.error or outcome.value is None:
                continue
            graphs += 1
            names, seen, differs = outcome.value  # type: ignore[misc]
            operators.update(names)
            disputes.update(seen)
            whole += differs
        first += BATCH
    nodes = f"{operators.total()} nodes of {len(operators)} operators"
    print(f"{graphs + len(failing)} graphs, {nodes}, {len(failing)} findings")
    print(f"oracles disagreed about {whole} whole graphs and {disputes.total()} proposed nodes, which were left out:")
    print("   " + ", ".join(f"{name} {count}" for name, count in disputes.most_common()))
    print("operators: " + ", ".join(f"{name} {count}" for name, count in operators.most_common()))
    for seed in failing[:20]:
        print(shrink(seed, options.findings, options.timeout), flush=True)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
