"""Random well-formed graphs of 2 to 30 nodes for as long as you like, each in a guarded process.

    PYTHONPATH=tests python -m fuzz.random_graphs --seconds 1800 [--jobs 2] [--first-seed N]

Prints every graph that crashes, hangs or differs from the reference, by its seed, and exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time

from compiler.graph_writer import check_graph
from conformance.pool import run_guarded

BATCH = 50
MEMORY = 16 << 30


def graph_nodes(seed: int) -> int:
    """2 to 30."""
    return 2 + seed * 7919 % 29


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one graph")
    options = parser.parse_args()
    end, first, findings = time.monotonic() + options.seconds, options.first_seed, 0
    while time.monotonic() < end:
        outcomes = run_guarded(
            lambda k, first=first: check_graph(first + k, graph_nodes(first + k)),
            BATCH,
            jobs=options.jobs,
            timeout=options.timeout,
            memory=MEMORY,
        )
        for k, outcome in outcomes:
            if outcome.error:
                findings += 1
                print(f"seed {first + k}: {outcome.error}", flush=True)
        first += BATCH
    print(f"{first - options.first_seed} graphs, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
