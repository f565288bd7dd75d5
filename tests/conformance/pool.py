"""A guarded pool of forked workers: a crash, a hang or an exception is the failure of one task, never of the run."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

__all__ = ["Outcome", "run_guarded"]

FORK = multiprocessing.get_context("fork")
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What became of one task: ``error`` is empty for success; ``value`` is what the task returned."""

    error: str
    value: object = None
    seconds: float = 0.0


def run_guarded(
    task: Callable[[int], object], count: int, *, jobs: int, timeout: float, memory: int
) -> Iterator[tuple[int, Outcome]]:
    """Runs ``task(0) ... task(count - 1)`` in ``jobs`` forked processes and yields outcomes as they come.

    A task that takes longer than ``timeout`` seconds, dies, or asks for more than ``memory`` bytes of address space
    fails alone: its process is replaced and the rest goes on. Exceptions become ``Outcome.error``.
    """
    todo = deque(range(count))
    workers = [_Worker(task, memory) for _ in range(min(jobs, count))]
    try:
        for worker in workers:
            worker.give(todo.popleft())
        while busy := [worker for worker in workers if worker.index is not None]:
            wait([worker.pipe for worker in busy], POLL_SECONDS)
            for worker in busy:
                index, outcome = worker.index, worker.outcome(timeout)
                if index is not None and outcome is not None:
                    if not worker.alive and todo:
                        worker.start()
                    worker.give(todo.popleft() if todo else None)
                    yield index, outcome
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """One forked process and the task it is doing."""

    process: BaseProcess
    pipe: Connection
    index: int | None
    since: float

    def __init__(self, task: Callable[[int], object], memory: int) -> None:
        self.task, self.memory = task, memory
        self.index = None
        self.alive = False
        self.start()

    def start(self) -> None:
        self.pipe, theirs = FORK.Pipe()
        self.process = FORK.Process(target=_serve, args=(theirs, self.task, self.memory))
        self.process.start()
        theirs.close()
        self.alive = True

    def give(self, index: int | None) -> None:
        self.index, self.since = index, time.monotonic()
        if index is not None:
            self.pipe.send(index)

    def outcome(self, timeout: float) -> Outcome | None:
        """The outcome of the current task, or None while it runs."""
        seconds = time.monotonic() - self.since
        try:
            if self.pipe.poll():
                error, value = self.pipe.recv()
                return Outcome(error, value, seconds)
        except (EOFError, OSError):
            self.stop()
            return Outcome(f"crash: {_cause(self.process.exitcode)}", None, seconds)
        if seconds > timeout:
            self.stop()
            return Outcome(f"timeout: no answer in {timeout:.0f} s", None, seconds)
        return None

    def stop(self) -> None:
        self.process.join(0 if self.alive and self.index is not None else 0.5)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.alive = False


def _serve(pipe: Connection, task: Callable[[int], object], memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            index = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = ("", task(index))
        except BaseException as error:
            answer = (" ".join(f"{type(error).__name__}: {error}".split()) or type(error).__name__, None)
        pipe.send(answer)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"
