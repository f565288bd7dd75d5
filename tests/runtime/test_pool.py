"""The thread pool: every task exactly once, failures, races, fork, exit, idleness."""

from __future__ import annotations

import ctypes
import random
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from runtime.native import counting_kernel, parallel
from sardonyx.lang.pool import pool_object
from sardonyx.runtime import pool
from sardonyx.targets import AVX2, BASELINE, NEON


def _counts(tasks: int) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * max(1, tasks))()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_task_once(threads: int) -> None:
    team, kernel, draw = pool.team(threads), counting_kernel(), random.Random(threads)
    for _ in range(300):
        tasks, grain = draw.choice([0, 1, 2, 3, 7, 64, 1000]), draw.choice([1, 2, 5, 64, 5000])
        counts = _counts(tasks)
        assert parallel(team, kernel, counts, tasks, grain, turns=draw.choice([0, 0, 5])) == 0
        assert list(counts)[:tasks] == [1] * tasks


def test_many_tiny_calls() -> None:
    team, kernel, counts = pool.team(4), counting_kernel(), _counts(8)
    for _ in range(30_000):
        parallel(team, kernel, counts, 8)
    assert list(counts) == [30_000] * 8


def test_first_failure_is_reported() -> None:
    team, kernel = pool.team(2), counting_kernel()
    for fail in (0, 5, 99):
        counts = _counts(100)
        assert parallel(team, kernel, counts, 100, fail=fail) == 7
        assert counts[fail] == 0
        assert max(counts) <= 1
    assert parallel(team, kernel, _counts(100), 100) == 0


def test_several_callers_at_once() -> None:
    """One caller has the pool, the others work alone; all are right."""
    kernel, wrong = counting_kernel(), []

    def call(threads: int) -> None:
        team, counts = pool.team(threads), _counts(64)
        for turn in range(2000):
            if parallel(team, kernel, counts, 64) or counts[turn % 64] != turn + 1:
                wrong.append(turn)

    callers = [threading.Thread(target=call, args=(2 + i % 2,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_idle_threads_use_no_time() -> None:
    parallel(pool.team(4), counting_kernel(), _counts(64), 64)
    time.sleep(0.02)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03


def test_parked_workers_wake_up() -> None:
    team, kernel = pool.team(2), counting_kernel()
    for _ in range(20):
        counts = _counts(1000)
        parallel(team, kernel, counts, 1000, turns=50)
        assert list(counts) == [1] * 1000
        time.sleep(0.002)


@pytest.mark.parametrize("target", [BASELINE, AVX2, NEON], ids=lambda t: t.name)
def test_code_for_every_target(target) -> None:  # type: ignore[no-untyped-def]
    assert len(pool_object(target)) > 1000


_PRELUDE = """
    import os, sys, time, threading, warnings
    warnings.simplefilter("ignore")  # newer Pythons warn about a fork with threads, which is what is tested
    from runtime.native import counting_kernel, parallel
    from sardonyx.runtime import pool
    import ctypes
    team, kernel = pool.team(3), counting_kernel()

    def work(turns=200):
        counts = (ctypes.c_int64 * 64)()
        for _ in range(turns):
            assert parallel(team, kernel, counts, 64) == 0
        assert list(counts) == [turns] * 64
"""


def _python(script: str) -> subprocess.CompletedProcess[str]:
    path = repr([p for p in sys.path if p])
    code = f"import sys; sys.path[:0] = {path}\n" + textwrap.dedent(_PRELUDE) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_fork_remakes_the_pool() -> None:
    result = _python(
        """
        work()
        for generation in range(3):
            child = os.fork()
            if child == 0:
                work()
                grandchild = os.fork()
                if grandchild == 0:
                    work()
                    os._exit(5)
                code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
                os._exit(code if threading.active_count() >= 3 else 99)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
            work()
        print("done")
        """
    )
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


def test_fork_while_others_run() -> None:
    result = _python(
        """
        work()
        stop = []
        def busy():
            while not stop:
                work(20)
        others = [threading.Thread(target=busy) for _ in range(2)]
        for other in others: other.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.append(1)
        for other in others: other.join()
        print("done")
        """
    )
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


def test_worker_makes_room_for_its_caller() -> None:
    result = _python(
        """
        allowed = os.sched_getaffinity(0)
        if len(allowed) > 1:
            team = pool.team(2)
            work()
            worker = next(t for t in threading.enumerate() if t.name == "sardonyx-1").native_id
            while len(os.sched_getaffinity(worker)) > 1:  # until the thread has begun
                time.sleep(0.001)
            (place,) = os.sched_getaffinity(worker)
            for _ in range(2):
                os.sched_setaffinity(0, {place})
                for _ in range(200):
                    time.sleep(0.002)
                    work(1)
                    if os.sched_getaffinity(worker) != {place}:
                        break
                assert os.sched_getaffinity(worker) != {place}
                (place,) = os.sched_getaffinity(worker)
                assert place in allowed
        print("done")
        """
    )
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


@pytest.mark.parametrize(
    "ending", ["pass", "sys.exit(0)", "threading.Thread(target=work, args=(10**9,), daemon=True).start()"]
)
def test_exit_is_quick_and_clean(ending: str) -> None:
    start = time.monotonic()
    result = _python(f"work(5)\n{ending}\n")
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start < 10
