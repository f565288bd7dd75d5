"""The guarded pool: one bad task is one failure."""

from __future__ import annotations

import os
import signal
import time

from conformance.pool import Outcome, run_guarded


def outcomes(task, count: int, **settings) -> dict[int, Outcome]:
    settings = {"jobs": 2, "timeout": 30.0, "memory": 8 << 30} | settings
    return dict(run_guarded(task, count, **settings))


def test_values_come_back() -> None:
    result = outcomes(lambda index: index * index, 20)
    assert {index: outcome.value for index, outcome in result.items()} == {i: i * i for i in range(20)}
    assert not any(outcome.error for outcome in result.values())


def test_an_exception_fails_its_task_only() -> None:
    def task(index: int) -> None:
        if index == 3:
            raise ValueError("three")

    assert {i: o.error for i, o in outcomes(task, 6).items() if o.error} == {3: "ValueError: three"}


def test_a_crash_fails_its_task_only() -> None:
    def task(index: int) -> int:
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 4:
            os._exit(7)
        return index

    result = outcomes(task, 8)
    assert {i: o.error for i, o in result.items() if o.error} == {1: "crash: SIGKILL", 4: "crash: exit code 7"}


def test_a_hang_fails_its_task_only() -> None:
    def task(index: int) -> None:
        if index == 0:
            time.sleep(60)

    result = outcomes(task, 5, timeout=0.5)
    assert [i for i, o in result.items() if o.error] == [0]
    assert result[0].error.startswith("timeout")


def test_memory_is_bounded() -> None:
    result = outcomes(lambda index: len(bytearray(1 << 40)), 1, jobs=1)
    assert result[0].error.startswith("MemoryError")


def test_no_tasks() -> None:
    assert outcomes(lambda index: index, 0) == {}
