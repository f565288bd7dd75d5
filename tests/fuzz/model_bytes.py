"""Models, mutated: loading and running them ends with results or an error of ours.

    PYTHONPATH=tests python -m fuzz.model_bytes [CORPUS] -max_total_time=1800        # atheris, coverage-guided
    PYTHONPATH=tests python -m fuzz.model_bytes --random 600 --keep FOLDER           # without: seconds, all findings

Each mutant is read, compiled in code that checks its accesses to memory, and run on inputs of the types that it
declares. What is raised must be a SardonyxError (or MemoryError); anything else is a finding, and so is a crash, a
stray access, a hang, and memory without bound.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import re
import resource
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

import sardonyx
from conformance.pool import run_guarded
from fuzz.mutations import mutated
from fuzz.seeds import WEIGHTS, WEIGHTS_FILE, seeds
from sardonyx import dtypes
from sardonyx.lang.host import host_target

CHECKED = "SARDONYX_CHECK"
RUN_MEMORY = 256 << 20
"""The limit that runs are given, in bytes."""
GROWTH = 1 << 30
"""Bytes by which the process may grow over one model, beyond what its run may take."""
LONGEST_LOAD, LONGEST_RUN = 30.0, 10.0
"""Seconds of processor time; compiling is the larger part of the first."""
PATIENCE = 1.0
"""Seconds after which a run is told to end."""
MOST_ELEMENTS = 1 << 16
BATCH = 50
FIRST, LARGEST_FIRST = 250, 4096
"""How many seeds atheris begins with, and their bytes; mutations take from all of them."""


class Finding(Exception):
    """What must not happen, and is no exception by itself."""


def one_input(data: bytes) -> None:
    """Loads and runs a model; raises for a finding."""
    before, start = _peak(), time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            session = _load(data)
            _limit("loading", start, LONGEST_LOAD)
            _run(session, np.random.default_rng(zlib.crc32(data)))
    except (sardonyx.SardonyxError, MemoryError) as error:
        if "about to leave" in str(error):
            raise
    _limit("loading or running", start, LONGEST_LOAD + LONGEST_RUN)
    if _peak() - before > RUN_MEMORY + GROWTH:
        raise Finding(f"{(_peak() - before) >> 20} MiB were taken")


def _peak() -> int:
    """The most bytes that the process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit(what: str, start: float, most: float) -> None:
    seconds = time.process_time() - start
    if seconds > most:
        raise Finding(f"{what} took {seconds:.1f} s")


def _load(data: bytes) -> sardonyx.InferenceSession:
    """From memory, or from a folder with a file of weights where the model names one."""
    options = sardonyx.SessionOptions(
        use_cache=False, intra_op_num_threads=1, memory_limit=RUN_MEMORY, log_severity_level=4
    )
    if WEIGHTS_FILE.encode() not in data:
        return sardonyx.InferenceSession(data, options)
    path = _folder() / "model.onnx"
    path.write_bytes(data)
    return sardonyx.InferenceSession(path, options)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sardonyx-fuzz-"))
    (folder / WEIGHTS_FILE).write_bytes(WEIGHTS)
    return folder


def _run(session: sardonyx.InferenceSession, rng: np.random.Generator) -> None:
    for _ in range(2):  # other sizes and numbers
        sizes: dict[str, int] = {}
        feeds = {port.name: _value(port.type, port.shape, sizes, rng) for port in session.get_inputs()}
        if any(isinstance(value, np.ndarray) and value.size > MOST_ELEMENTS for value in feeds.values()):
            return
        options = sardonyx.RunOptions()
        timer = threading.Timer(PATIENCE, setattr, (options, "terminate", True))
        timer.start()
        start = time.process_time()
        try:
            session.run(None, feeds, options)
        finally:
            timer.cancel()
            _limit("running", start, LONGEST_RUN)


def _value(text: str, shape: Sequence[int | str | None], sizes: dict[str, int], rng: np.random.Generator) -> Any:
    """Something of a type as ``NodeArg`` tells it."""
    container = re.fullmatch(r"(seq|optional)\((.*)\)", text)
    if container:
        count = rng.integers(0, 4) if container[1] == "seq" else 1
        values = [_value(container[2], shape, sizes, rng) for _ in range(count)]
        return values if container[1] == "seq" else values[0]
    element = re.fullmatch(r"tensor\((\w+)\)", text)
    dtype = _element_types().get(element[1]) if element else None
    if dtype is None:
        return {"a": 1.0, "b": -2.0}
    dims = [_size(size, sizes, rng) for size in shape]
    if any(size < 0 for size in dims) or np.prod(dims, dtype=float) > MOST_ELEMENTS:
        return np.zeros(MOST_ELEMENTS + 1, np.bool_)
    return _array(dtype, dims, rng)


@cache
def _element_types() -> Mapping[str, dtypes.DType]:
    return {dtype.ort_name: dtype for dtype in dtypes.ALL}


def _size(size: int | str | None, sizes: dict[str, int], rng: np.random.Generator) -> int:
    if isinstance(size, int):
        return size
    drawn = int(rng.choice((0, 1, 2, 3, 4, 5, 17), p=(0.06, 0.2, 0.24, 0.2, 0.1, 0.1, 0.1)))
    return drawn if size is None else sizes.setdefault(size, drawn)


def _array(dtype: dtypes.DType, dims: Sequence[int], rng: np.random.Generator) -> Any:
    """Small numbers, now and then extreme ones."""
    extreme = rng.random() < 0.15
    match dtype.kind:
        case "s":
            return rng.choice(np.array(["", "a", "a b", "\u00e9", "b" * 40], object), dims)
        case "b":
            return rng.integers(0, 2, dims).astype(np.bool_)
        case "i" | "u":
            low, high = (0 if dtype.kind == "u" else -2), 5
            values = rng.integers(low, high, dims)
            if extreme and values.size:
                values.reshape(-1)[0] = rng.choice((-(2**63), 2**63 - 1, -(2**31), 2**31, 255, -1))
            return values.astype(dtype.numpy)
    values = rng.standard_normal(dims)
    if extreme and values.size:
        values.reshape(-1)[0] = rng.choice((np.nan, np.inf, -np.inf, 1e30, 2.0**63))
    return values.astype(dtype.numpy)


def mutants(generator: random.Random) -> Iterator[bytes]:
    """Seeds changed a little, and mutants of mutants."""
    kept = list(seeds())
    while True:
        data = mutated(generator.choice(kept), generator, seeds())
        if generator.random() < 0.05 and len(data) < 1 << 15:
            kept.append(data)
        yield data


def run_random(count: int, seed: int = 0) -> None:
    """Tries so many mutants. A finding is written to ``finding.onnx`` and raised."""
    for data in islice(mutants(random.Random(seed)), count):
        try:
            one_input(data)
        except BaseException:
            Path("finding.onnx").write_bytes(data)
            raise


def explore(seconds: float, folder: Path) -> int:
    """Mutants in guarded processes, going on after findings, whose models are kept; the number of findings."""
    seeds()
    folder.mkdir(parents=True, exist_ok=True)
    end, first, found = time.monotonic() + seconds, time.time_ns() // 1_000_000, 0
    while time.monotonic() < end:
        batch = run_guarded(lambda k, first=first: _batch(first + k, folder), 20, jobs=1, timeout=600, memory=16 << 30)
        for k, outcome in batch:
            if outcome.error:  # the model that was being tried is still there
                kept = folder / f"{outcome.error.split(':')[0]}-{first + k}.onnx"
                (folder / "current.onnx").replace(kept)
                print(f"{kept}: {outcome.error}", flush=True)
            found += bool(outcome.error) + (outcome.value if isinstance(outcome.value, int) else 0)
        first += 20
        print(f"{found} findings, {int(end - time.monotonic())} s left", flush=True)
    return found


def _batch(seed: int, folder: Path) -> int:
    found = 0
    stream = mutants(random.Random(seed))
    for _ in range(BATCH):
        data = next(stream)
        (folder / "current.onnx").write_bytes(data)
        try:
            one_input(data)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            place = next((f for f in reversed(frames) if "/sardonyx/" in f.filename), frames[-1])
            kept = folder / f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}.onnx"
            if not kept.exists():
                found += 1
                kept.write_bytes(data)
                kept.with_suffix(".txt").write_text(traceback.format_exc())
                print(f"{kept}: {type(error).__name__}: {error}"[:300], flush=True)
    return found


def fuzz(arguments: Sequence[str]) -> None:
    """Runs atheris until its time is up or it has found something."""
    import atheris

    corpus = tempfile.mkdtemp(prefix="sardonyx-corpus-")
    small = [data for data in seeds() if len(data) <= LARGEST_FIRST]
    for number, data in enumerate(random.Random(0).sample(small, FIRST)):
        Path(corpus, f"seed{number}").write_bytes(data)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        made = mutated(data, random.Random(seed), seeds())
        return made if len(made) <= max_size else data

    for data in seeds()[:20]:
        one_input(data)  # so that what is imported late is there
    functions = [f for f in gc.get_objects() if isinstance(f, FunctionType)]
    for function in (f for f in functions if (f.__module__ or "").startswith("sardonyx")):
        atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *arguments, "-max_len=65536", corpus], one_input, custom_mutator=mutator)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--random", type=float, metavar="SECONDS", help="without atheris, in guarded processes")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="folder for the models of findings")
    parser.add_argument("--one", type=Path, help="tries one file")
    options, rest = parser.parse_known_args()
    os.environ[CHECKED] = "1"
    host_target.cache_clear()
    if options.one:
        one_input(options.one.read_bytes())
    elif options.random:
        sys.exit(1 if explore(options.random, options.keep) else 0)
    else:
        fuzz(rest)


if __name__ == "__main__":
    main()
