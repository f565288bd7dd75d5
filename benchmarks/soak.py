"""Memory over many runs and many loads in one process: it must be flat after warming up.

    PYTHONPATH=tests python benchmarks/soak.py [--runs 10000] [--loads 1000]

Runs one model of symbolic sizes at random sizes; loads random models one after the other, each compiled and run once;
loads 50 models again and again from a cache, two sessions of each at a time; asks for what is refused: models that are
broken, runs that raise. Prints the resident memory after the first and after each tenth of these.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np

import sardonyx
from compiler.graph_writer import Writer

REPORTS = 10
CACHED_MODELS = 50


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


def sampled(count: int, work: Callable[[int], None]) -> Iterator[float]:
    """Memory after the first and after each tenth of ``count`` calls of ``work``."""
    for number in range(count):
        work(number)
        if number == 0 or (number + 1) % max(1, count // REPORTS) == 0:
            gc.collect()
            yield resident_mb()


def runs(count: int) -> Iterator[float]:
    rng, writer = np.random.default_rng(0), random_model(7)
    session = sardonyx.InferenceSession(writer.model().SerializeToString())
    return sampled(count, lambda number: consume(session.run(None, feeds(writer, rng))))


def consume(results: list[np.ndarray]) -> None:
    """Looks at the results, as a caller would."""
    if not all(isinstance(result, np.ndarray) for result in results):
        raise AssertionError("a result is no array")


def quiet(*, use_cache: bool) -> sardonyx.SessionOptions:
    options = sardonyx.SessionOptions()
    options.use_cache = use_cache
    options.log_severity_level = 4
    return options


def loads(count: int) -> Iterator[float]:
    rng, options = np.random.default_rng(0), quiet(use_cache=False)

    def load(number: int) -> None:
        writer = random_model(number)
        session = sardonyx.InferenceSession(writer.model().SerializeToString(), options)
        consume(session.run(None, feeds(writer, rng)))

    return sampled(count, load)


def cached_loads(count: int) -> Iterator[float]:
    rng, options = np.random.default_rng(0), quiet(use_cache=True)
    writers = [random_model(number) for number in range(min(count, CACHED_MODELS))]
    models = [writer.model().SerializeToString() for writer in writers]

    def load(number: int) -> None:
        place = number % len(models)
        sessions = [sardonyx.InferenceSession(models[place], options) for _ in range(2)]  # which share weights
        for session in sessions:
            consume(session.run(None, feeds(writers[place], rng)))

    for number in range(len(models)):
        load(number)
    return sampled(count, load)


def refusals(count: int) -> Iterator[float]:
    """Each call loads a truncated model and one of an unknown operator, and feeds a session sizes that do not fit."""
    rng, options, writer = np.random.default_rng(0), quiet(use_cache=False), random_model(7)
    session = sardonyx.InferenceSession(writer.model().SerializeToString(), options)

    def ask(number: int) -> None:
        other = random_model(number)
        model = other.model()
        truncated = model.SerializeToString()[: -1 - number % 40]
        model.graph.node[number % len(model.graph.node)].op_type = f"Unknown{number}"
        for broken in (truncated, model.SerializeToString()):
            with suppress(sardonyx.SardonyxError):
                sardonyx.InferenceSession(broken, options)
        with suppress(sardonyx.SardonyxError):
            session.run(None, {name: value[..., : 1 + number % 4] for name, value in feeds(writer, rng).items()})

    return sampled(count, ask)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=1_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SARDONYX_CACHE_DIR"] = folder
        for name, series, count in (
            ("runs", runs, options.runs),
            ("loads", loads, options.loads),
            ("loads from the cache", cached_loads, options.loads),
            ("refusals", refusals, options.loads),
        ):
            print(f"{name} ({count}): MB resident", end="", flush=True)
            for sample in series(count) if count else ():
                print(f" {sample:.0f}", end="", flush=True)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
