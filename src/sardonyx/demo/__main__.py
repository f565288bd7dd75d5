"""``make demo``: compile two real models, hold them against the truth, time them beside ONNX Runtime."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import sardonyx
from sardonyx.demo.models import digits_classifier, resnet50
from sardonyx.measure import take_turns
from sardonyx.measure.engines import open_engine

BATCH = 4
IMAGE_SIZE = 224
THREAD_COUNTS = (1, 2)
ROUNDS = 3
TURN_SECONDS = 0.4
# Two correct float32 engines sum in different orders; a wrong one is off by far more than this.
TOLERANCE = 1e-4

# Where the output is no terminal there is no width to keep to.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True)
class Row:
    """A line of the table at the end; times in seconds."""

    model: str
    threads: int
    ours: float
    theirs: float
    difference: float


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is being done and, afterwards, how long it took."""
    start = time.perf_counter()
    yield
    console.print(f"  {what} [dim]{time.perf_counter() - start:.2f} s[/]")


def load(path: Path, threads: int) -> Any:
    """A session on the model, with a progress bar while it compiles."""
    columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.stem, total=None)
        options = sardonyx.SessionOptions()
        options.intra_op_num_threads = threads
        options.on_progress = lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        return sardonyx.InferenceSession(path, options)


def load_twice(path: Path) -> Any:
    """A session, after a second load that shows what the cache of compiled code saves."""
    start = time.perf_counter()
    load(path, threads=1)
    loaded = time.perf_counter()
    session = load(path, threads=1)
    again = time.perf_counter()
    console.print(f"  loaded in {loaded - start:.2f} s, and again, with compiled code kept, in {again - loaded:.2f} s")
    return session


def largest_difference(got: Any, expected: Any) -> float:
    """``max |a - b| / max |b|``."""
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


def compare(name: str, path: Path, feeds: dict[str, Any], output: int) -> Iterator[Row]:
    """Times the model beside ONNX Runtime at each number of threads; checks the output of that number."""
    available = len(os.sched_getaffinity(0))
    for threads in [count for count in THREAD_COUNTS if count <= available]:
        ours = load(path, threads)
        theirs = open_engine("onnxruntime", path, threads=threads)
        difference = largest_difference(ours.run(None, feeds)[output], theirs(feeds)[output])
        runs: dict[str, Callable[[], object]] = {
            "ours": partial(ours.run, None, feeds),
            "theirs": partial(theirs, feeds),
        }
        with step(f"timed at {threads} threads, in turns with ONNX Runtime"):
            timings = take_turns(runs, rounds=ROUNDS, seconds=TURN_SECONDS)
        yield Row(name, threads, timings["ours"].median, timings["theirs"].median, difference)


def digits(folder: Path) -> tuple[list[Row], bool]:
    """The classifier: accuracy beside scikit-learn's, and the largest difference of a probability."""
    console.print("[bold]1. A digits classifier from scikit-learn[/]")
    with step("trained a multilayer perceptron and converted it to ONNX"):
        made = digits_classifier()
        path = folder / "digits.onnx"
        onnx.save(made.model, path)
    session = load_twice(path)
    feeds = {session.get_inputs()[0].name: made.images}
    labels, probabilities = session.run(None, feeds)
    ours, theirs = (float(np.mean(p == made.labels)) for p in (labels, made.expected.argmax(axis=1)))
    difference = float(np.max(np.abs(probabilities - made.expected)))
    console.print(
        f"  accuracy on {len(made.labels)} images it has not seen: sardonyx {ours:.4f}, scikit-learn {theirs:.4f}; "
        f"largest difference of a probability {difference:.1e}"
    )
    return list(compare("digits", path, feeds, output=1)), ours == theirs and difference < TOLERANCE


def images(folder: Path) -> tuple[list[Row], bool]:
    """ResNet-50 on random images, held against ONNX Runtime."""
    console.print("[bold]2. ResNet-50 with random weights[/]")
    with step("built the model"):
        path = folder / "resnet50.onnx"
        onnx.save(resnet50(), path)
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    session = load_twice(path)
    (logits,) = session.run(None, {"image": batch})
    (expected,) = open_engine("onnxruntime", path, threads=1)({"image": batch})
    difference = largest_difference(logits, expected)
    console.print(f"  {BATCH} images at once, without compiling again: largest difference {difference:.1e}")
    rows = list(compare("resnet50", path, {"image": batch[:1]}, output=0))
    return rows, max(difference, *(row.difference for row in rows)) < TOLERANCE


def show(rows: list[Row]) -> None:
    """The table at the end."""
    table = Table("model", title="\nsardonyx beside ONNX Runtime, median latency", title_justify="left")
    for column in ("threads", "sardonyx", "ONNX Runtime", "ratio", "difference"):
        table.add_column(column, justify="right")
    for row in rows:
        times = [f"{row.ours * 1e3:.3f} ms", f"{row.theirs * 1e3:.3f} ms", f"{row.ours / row.theirs:.2f}"]
        table.add_row(row.model, str(row.threads), *times, f"{row.difference:.1e}")
    console.print(table)
    console.print("Start it again: compiled code is kept, and nothing is compiled any more.")


def main() -> int:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sardonyx-demo-") as folder:
        digit_rows, digits_right = digits(Path(folder))
        image_rows, images_right = images(Path(folder))
    show(digit_rows + image_rows)
    console.print(f"[dim]{time.perf_counter() - start:.1f} s in all[/]")
    if digits_right and images_right:
        console.print("[bold green]Both models give the right answers.[/]")
        return 0
    console.print("[bold red]A model gives wrong answers.[/]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
