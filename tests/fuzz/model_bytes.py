"""Model bytes, mutated: reading, passes, inference and lowering end with a result or an error of ours.

    PYTHONPATH=tests python -m fuzz.model_bytes [CORPUS] -max_total_time=1800        # atheris, coverage-guided
    PYTHONPATH=tests python -m fuzz.model_bytes --random 60                          # without atheris: seconds

What is raised must be a SardonyxError (or MemoryError); anything else is a finding, and so is a crash or a hang.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cache

from sardonyx.compiler.region import lower_region
from sardonyx.compiler.steps import Region, cut
from sardonyx.errors import SardonyxError
from sardonyx.graph.reader import read_model
from sardonyx.lang.host import host_target
from sardonyx.ops.inference import infer_graph
from sardonyx.ops.registry import foreign_operators
from sardonyx.passes.pipeline import optimise

SEEDS = 200
LARGEST_SEED = 4096


def one_input(data: bytes) -> None:
    """All of the compiler but LLVM, on one file's bytes."""
    try:
        model = read_model(data, custom_ops=foreign_operators())
        optimise(model)
        info = infer_graph(model.graph)
        for step in cut(model.graph, info):
            if isinstance(step, Region):
                lower_region(step, info, host_target())
    except (SardonyxError, MemoryError):
        pass


@cache
def seeds() -> list[bytes]:
    """Small models of onnx's backend suite."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [case.model.SerializeToString() for case in load_model_tests(kind="node")]
    small = sorted({model for model in models if len(model) <= LARGEST_SEED})
    return random.Random(0).sample(small, min(SEEDS, len(small)))


def mutants(generator: random.Random) -> Iterator[bytes]:
    """Seeds with bytes flipped, cut out, repeated, or taken from another seed."""
    while True:
        data = bytearray(generator.choice(seeds()))
        for _ in range(generator.choice((1, 1, 2, 4, 16))):
            place = generator.randrange(len(data) or 1)
            match generator.randrange(5):
                case 0:
                    data[place : place + 1] = bytes([generator.randrange(256)])
                case 1:
                    del data[place : place + generator.randrange(1, 9)]
                case 2:
                    data[place:place] = data[place : place + generator.randrange(1, 33)]
                case 3:
                    other = generator.choice(seeds())
                    start = generator.randrange(len(other) or 1)
                    data[place : place + 16] = other[start : start + 16]
                case 4:
                    data[place : place + 1] = generator.choice((b"\xff" * 9 + b"\x01", b"\x00", b"\x7f", b"\x80\x80"))
        yield bytes(data)


def run_random(seconds: float, seed: int = 0) -> int:
    """Mutants for some seconds; the number that was tried. A finding is written to ``finding.onnx`` and raised."""
    seeds()  # making them takes a while
    generator, end, tried = random.Random(seed), time.monotonic() + seconds, 0
    for data in mutants(generator):
        if time.monotonic() > end:
            return tried
        tried += 1
        try:
            one_input(data)
        except BaseException:
            with open("finding.onnx", "wb") as file:
                file.write(data)
            raise
    return tried


def main() -> None:
    warnings.simplefilter("ignore")
    if "--random" in sys.argv:
        print(run_random(float(sys.argv[-1]), seed=time.time_ns()), "mutants, no finding")
        return
    import os
    import tempfile

    import atheris

    corpus = tempfile.mkdtemp(prefix="sardonyx-corpus-")
    for number, data in enumerate(seeds()):
        with open(os.path.join(corpus, f"seed{number}"), "wb") as file:
            file.write(data)
    atheris.instrument_all()
    atheris.Setup([*sys.argv, corpus], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
