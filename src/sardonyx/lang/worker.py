"""Compilation in worker processes: text in, object code out.

LLVM holds one global lock in a process, so kernels compile in parallel only in processes of their own. A worker is a
fresh interpreter that imports nothing but ``lang.compile``; it is never forked from this process (which has threads).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from sardonyx.lang.compile import compile_text
from sardonyx.targets import Target

__all__ = ["compile_all", "serve"]

MIN_TEXTS = 6
"""With fewer modules to compile, starting processes costs more than it saves."""


def compile_all(
    texts: Sequence[str], target: Target, processes: int, on_done: Callable[[int], None] = lambda done: None
) -> list[bytes]:
    """Compiles modules to objects, in order; ``on_done`` hears how many are ready.

    Falls back to this process where workers cannot be started. Raises RuntimeError with LLVM's message.
    """
    if processes < 2 or len(texts) < MIN_TEXTS:
        return _compile_here(texts, target, on_done)
    workers = [worker for worker in (_start() for _ in range(min(processes, len(texts)))) if worker is not None]
    if not workers:
        return _compile_here(texts, target, on_done)
    try:
        return _share(texts, target, workers, on_done)
    finally:
        for worker in workers:
            _stop(worker)


def _compile_here(texts: Sequence[str], target: Target, on_done: Callable[[int], None]) -> list[bytes]:
    objects: list[bytes] = []
    for text in texts:
        objects.append(compile_text(text, target))
        on_done(len(objects))
    return objects


def _share(
    texts: Sequence[str], target: Target, workers: Sequence[subprocess.Popen[bytes]], on_done: Callable[[int], None]
) -> list[bytes]:
    """Hands out modules, the longest first. This process only waits: the memory that LLVM takes and keeps goes back to
    the system with the workers."""
    results: list[bytes | None] = [None] * len(texts)
    waiting: SimpleQueue[int] = SimpleQueue()
    for place in sorted(range(len(texts)), key=lambda k: -len(texts[k])):
        waiting.put(place)
    done: SimpleQueue[int] = SimpleQueue()

    def drain(compile_one: Callable[[str], bytes]) -> None:
        for place in _take(waiting):
            results[place] = compile_one(texts[place])
            done.put(place)
            on_done(done.qsize())

    with ThreadPoolExecutor(len(workers)) as threads:
        for job in [threads.submit(drain, partial(_ask, worker, target)) for worker in workers]:
            job.result()
    return [code for code in results if code is not None]


def _take(waiting: SimpleQueue[int]) -> Iterator[int]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return


def _start() -> subprocess.Popen[bytes] | None:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", "from sardonyx.lang.worker import serve; serve()"]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
        )
    except OSError:
        return None  # no processes to be had: this one does the work


def _ask(worker: subprocess.Popen[bytes], target: Target, text: str) -> bytes:
    """One module through a worker; here when the worker has died."""
    try:
        _send(worker.stdin, (text, target))
        answer: Any = _receive(worker.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
        return compile_text(text, target)
    if isinstance(answer, bytes):
        return answer
    raise RuntimeError(answer)


def _stop(worker: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if worker.stdin is not None:
            worker.stdin.close()
    if worker.stdout is not None:
        worker.stdout.close()
    try:
        worker.wait(5)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _send(stream: IO[bytes] | None, message: object) -> None:
    data = pickle.dumps(message)
    if stream is None:
        raise EOFError
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> object:
    head = b"" if stream is None else stream.read(8)
    if len(head) < 8 or stream is None:
        raise EOFError
    message: object = pickle.loads(stream.read(int.from_bytes(head, "little")))
    return message


def serve() -> None:
    """The worker's loop: compiles what comes on standard input until it is closed."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            request: Any = _receive(source)
        except EOFError:
            return
        text, target = request
        try:
            answer: bytes | str = compile_text(text, target)
        except Exception as error:  # whatever LLVM says, the parent reports it
            answer = f"{type(error).__name__}: {error}"
        _send(sink, answer)
