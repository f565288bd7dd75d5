"""Whole models beside ONNX Runtime and OpenVINO: the table of docs/performance.md.

    python benchmarks/models.py FOLDER [--threads 1,2] [--rounds 5] [--seconds 0.4] [--names a,b]

FOLDER holds NAME.onnx and NAME.npz (the inputs by name). Engines take turns on one machine; a figure is the median over
rounds of the ratio of the round's medians, our time over the other's: below 1 we are faster. Use a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sardonyx.measure import take_turns
from sardonyx.measure.engines import ENGINES, open_engine

OURS = "sardonyx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="per engine and round")
    parser.add_argument("--names", default="", help="models to measure, comma-separated; default: all")
    options = parser.parse_args()
    others = [name for name in ENGINES if name != OURS and importlib.util.find_spec(name)]
    print(
        "| model | threads | sardonyx | "
        + " | ".join(f"time / {name}'s" for name in others)
        + " | largest difference |"
    )
    print("| --- |" + " ---: |" * (len(others) + 3))
    chosen = set(options.names.split(",")) if options.names else None
    for path in sorted(options.folder.glob("*.onnx")):
        if path.with_suffix(".npz").exists() and (chosen is None or path.stem in chosen):
            for threads in map(int, options.threads.split(",")):
                print(row(path, threads, others, options.rounds, options.seconds), flush=True)


def row(path: Path, threads: int, others: list[str], rounds: int, seconds: float) -> str:
    """One line of the table: a model at a number of threads."""
    feeds = dict(np.load(path.with_suffix(".npz")))
    runs = {name: partial(open_engine(name, path, threads=threads), feeds) for name in (OURS, *others)}
    results = {name: [np.array(value) for value in run()] for name, run in runs.items()}
    timings = take_turns(runs, rounds=rounds, seconds=seconds)
    ratios = " | ".join(f"{timings[OURS].ratio(timings[name]):.2f}" for name in others)
    apart = difference(results[OURS], results[others[0]]) if others else 0.0
    return f"| {path.stem} | {threads} | {timings[OURS].median * 1e3:.4g} ms | {ratios} | {apart:.1e} |"


def difference(got: list[Any], expected: list[Any]) -> float:
    """The largest ``|a - b| / max|b|`` over the float outputs."""
    pairs = [(a, b) for a, b in zip(got, expected, strict=True) if b.dtype.kind == "f" and b.size]
    return max((float(np.max(np.abs(a - b)) / (1e-6 + np.max(np.abs(b)))) for a, b in pairs), default=0.0)


if __name__ == "__main__":
    main()
