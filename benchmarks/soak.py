"""Memory over many runs and many loads in one process: it must be flat after warming up.

    PYTHONPATH=tests python benchmarks/soak.py [--runs 10000] [--loads 1000]

Runs one model of symbolic sizes at random sizes, then loads random models one after the other, each run once.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence

import numpy as np

import sardonyx
from compiler.graph_writer import Writer

REPORTS = 10


def resident_mb() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


def random_model(seed: int) -> Writer:
    writer = Writer(seed)
    while len(writer.nodes) < 2 + seed % 12:
        writer.step()
    return writer


def feeds(writer: Writer, rng: np.random.Generator) -> dict[str, np.ndarray]:
    sizes = {"n": int(rng.integers(1, 9)), "t": int(rng.integers(1, 65))}
    return {
        name: rng.standard_normal([sizes[s] if isinstance(s, str) else s for s in shape]).astype(np.float32)
        for name, shape in writer.inputs.items()
    }


def runs(count: int) -> Iterator[float]:
    rng, writer = np.random.default_rng(0), random_model(7)
    session = sardonyx.InferenceSession(writer.model().SerializeToString())
    for number in range(count):
        session.run(None, feeds(writer, rng))
        if number % (count // REPORTS) == 0:
            yield resident_mb()


def loads(count: int) -> Iterator[float]:
    rng = np.random.default_rng(0)
    options = sardonyx.SessionOptions()
    options.use_cache = False
    options.log_severity_level = 4
    for number in range(count):
        writer = random_model(number)
        sardonyx.InferenceSession(writer.model().SerializeToString(), options).run(None, feeds(writer, rng))
        if number % (count // REPORTS) == 0:
            gc.collect()
            yield resident_mb()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=1_000)
    options = parser.parse_args(arguments)
    for name, samples in (("runs", runs(options.runs)), ("loads", loads(options.loads))):
        print(f"{name}: MB resident", end="", flush=True)
        for sample in samples:
            print(f" {sample:.0f}", end="", flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
