"""The native half of the thread pool, emitted like a kernel: ``parallel`` for callers, ``worker`` for the threads.

One pool serves the process. Its state is an array of i64 words, every hot word on a cache line of its own; the words'
positions below are shared with ``sardonyx.runtime.pool``, which allocates the array and starts the threads.

    parallel(team, kernel, bufs, sizes, tasks, grain):
        threads = min(team.threads, ceil(tasks / grain))
        if team is null or threads <= 1 or the pool is taken: return kernel(bufs, sizes, 0, tasks)
        write the job; cut the tasks into one segment per thread
        state = (epoch + 1, open, 0 joined); wake those of the needed workers that are parked
        work(segment 0)
        close the state; wait until as many workers have left as have joined
    worker(pool, index):
        repeat:
            wait for a new epoch: spin a bounded time, then park on a futex
            if the caller who woke it runs on this worker's own processor: move to the free one
            if the job is open and wants this worker: join (compare-exchange), work(segment index + 1), leave
    work(segment): chunks of the own segment by fetch-and-add, then chunks that others have left in theirs

A worker that wakes up too late finds the state closed and does not touch the job: a caller never waits for a thread
that has not joined, so that a small job costs no more than the calling thread alone would take. A kernel's results do
not depend on the split; the segments keep the same tasks on the same core from one call to the next.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.lang.compile import compile_text
from sardonyx.lang.entry import ENTRY, emit_entry
from sardonyx.lang.module import FunctionBuilder, Module
from sardonyx.lang.repeat import REPEAT, emit_repeat
from sardonyx.lang.types import BOOL, I64, PTR
from sardonyx.lang.value import Pointer, Value
from sardonyx.targets import Target

__all__ = ["PARALLEL", "POOL_SYMBOLS", "declare_parallel", "pool_object", "pool_text"]

PARALLEL = "sardonyx_parallel"
POOL_SYMBOLS = (PARALLEL, "sardonyx_worker", "sardonyx_stop", "sardonyx_spin", "sardonyx_now", REPEAT, ENTRY)

# Positions of the words; see sardonyx.runtime.pool, which holds the same numbers.
LOCK, STATE, LEFT, WAITING, STATUS, JOB, STOP, SEGMENTS = 0, 8, 16, 24, 32, 40, 48, 56
SPIN, CALLER, FREE = STOP + 1, STOP + 2, STOP + 3
KERNEL, BUFS, SIZES, TASKS, CHUNK, SHARE, THREADS = (JOB + i for i in range(7))
LINE = 8  # words in a cache line
NEXT, PARKED, PROCESSOR = 0, 1, 2  # within the line of one thread; a processor of -1 leaves it to the scheduler

_JOINED = 16  # the state: joined workers in the low bits, the open flag, the epoch
_OPEN = 1 << _JOINED
_EPOCH = _JOINED + 1
_MASK_BITS = 1024  # glibc's cpu_set_t
_CHUNKS = 8  # chunks per segment: what the last thread can be behind, against the cost of a kernel call


def declare_parallel(module: Module) -> Any:
    """``i64 sardonyx_parallel(ptr team, ptr kernel, ptr bufs, ptr sizes, i64 tasks, i64 grain)`` for callers.

    Runs the kernel's tasks ``[0, tasks)`` on the team (null: on the calling thread) in calls of at least ``grain``
    tasks; returns 0 or the status of a failed call. Import it by the address in ``runtime.pool.code()``.
    """
    return module.external(PARALLEL, I64.llvm, [PTR, PTR, PTR, PTR, I64.llvm, I64.llvm])


def pool_object(target: Target) -> bytes:
    """The pool as an object file that exports ``POOL_SYMBOLS``."""
    return compile_text(pool_text(target), target)


def pool_text(target: Target) -> str:
    """The pool, and what else all regions share, as LLVM assembly."""
    module = Module(target, "pool")
    work = _emit_work(module)
    _emit_parallel(module, work)
    _emit_worker(module, work)
    _emit_stop(module)
    _emit_spin(module)
    _emit_now(module)
    emit_repeat(module)
    emit_entry(module)
    return module.text()


class _Pool:
    """The words of a pool while code that uses them is emitted."""

    def __init__(self, b: FunctionBuilder, base: Pointer) -> None:
        self.b = b
        self.base = base

    def word(self, position: int) -> Pointer:
        return self.base.at(position)

    def line(self, thread: Value, position: int) -> Pointer:
        """A word of one thread: 0 is the caller, worker ``i`` is ``i + 1``."""
        return self.base.at(thread * LINE + (SEGMENTS + position))

    def get(self, position: int) -> Value:
        return self.base.load(position)

    def address(self, position: int) -> Any:
        return self.b.ir.load(self.base.at(position).ir, typ=PTR, align=8)


def _emit_work(module: Module) -> Any:
    with module.function("work", ir.VoidType(), [PTR, I64.llvm], internal=True) as b:
        pool, me = _Pool(b, b.pointer_argument(0, dtypes.int64)), b.argument(1)
        kernel, bufs, sizes = pool.address(KERNEL), pool.address(BUFS), pool.address(SIZES)
        tasks, chunk, share, threads = pool.get(TASKS), pool.get(CHUNK), pool.get(SHARE), pool.get(THREADS)
        with b.loop(threads) as turn:
            segment = (me + turn) % threads
            limit = b.minimum((segment + 1) * share, tasks)
            following = pool.line(segment, NEXT)

            def unfinished(following: Pointer = following, limit: Value = limit) -> Value:
                none_failed = b.atomic_load(pool.word(STATUS), "monotonic") == 0
                return (b.atomic_load(following, "monotonic") < limit) & none_failed

            with b.while_(unfinished):
                begin = b.atomic_update("add", following, chunk, "monotonic")
                with b.if_(begin < limit):
                    end = b.minimum(begin + chunk, limit)
                    status = b.call_pointer(kernel, [bufs, sizes, begin.ir, end.ir])
                    with b.if_(status != 0, likely=False):
                        b.compare_exchange(pool.word(STATUS), 0, status)
        b.return_()
        return b.function


def _emit_parallel(module: Module, work: Any) -> None:
    parameters = [PTR, PTR, PTR, PTR, I64.llvm, I64.llvm]
    with module.function(PARALLEL, I64.llvm, parameters) as b:
        team, tasks, grain = b.pointer_argument(0, dtypes.int64), b.argument(4), b.argument(5)
        kernel, bufs, sizes = (b.function.args[i] for i in (1, 2, 3))

        def alone() -> None:
            b.return_(b.call_pointer(kernel, [bufs, sizes, b.i64(0).ir, tasks.ir]))

        with b.if_(tasks <= 0):
            b.return_(0)
        with b.if_(b.value(b.ir.icmp_unsigned("==", team.ir, ir.Constant(PTR, None)), BOOL)):
            alone()
        grain = b.maximum(grain, 1)
        threads = b.minimum(team.load(1), (tasks + grain - 1) // grain)
        with b.if_(threads <= 1):
            alone()
        pool = _Pool(b, b.pointer(b.ir.load(team.ir, typ=PTR, align=8), dtypes.int64))
        with b.if_(~b.compare_exchange(pool.word(LOCK), 0, 1)):
            alone()
        share = (tasks + threads - 1) // threads
        chunk = b.maximum(grain, (share + (_CHUNKS - 1)) // _CHUNKS)
        for position, raw in ((KERNEL, kernel), (BUFS, bufs), (SIZES, sizes)):
            b.ir.store(raw, pool.word(position).ir, align=8)
        for position, value in ((TASKS, tasks), (CHUNK, chunk), (SHARE, share), (THREADS, threads)):
            pool.word(position).store(value)
        for position in (STATUS, LEFT, WAITING):
            pool.word(position).store(b.i64(0))
        with b.loop(threads) as thread:
            pool.line(thread, NEXT).store(thread * share)
        epoch = (b.atomic_load(pool.word(STATE), "monotonic") >> _EPOCH) + 1
        b.atomic_store(pool.word(STATE), (epoch << _EPOCH) | _OPEN)
        _emit_wake(b, pool, threads)
        b.ir.call(work, [pool.base.ir, b.i64(0).ir])
        joined = b.atomic_update("and", pool.word(STATE), ~_OPEN) & (_OPEN - 1)
        _emit_wait_for_workers(b, pool, joined)
        status = pool.get(STATUS)
        b.atomic_store(pool.word(LOCK), 0, "release")
        b.return_(status)


def _emit_wake(b: FunctionBuilder, pool: _Pool, threads: Value) -> None:
    if not b.has_futex:
        return
    with b.loop(threads, 1) as thread:
        parked = pool.line(thread, PARKED)
        with b.if_(b.atomic_load(parked) != 0):
            processor = b.intrinsic("sched_getcpu", ir.IntType(32), [])
            pool.word(CALLER).store(b.value(b.ir.sext(processor, I64.llvm), I64))
            b.atomic_store(parked, 0)
            b.futex_wake(parked)


def _emit_wait_for_workers(b: FunctionBuilder, pool: _Pool, joined: Value) -> None:
    """Spins for workers in their last chunk, then sleeps: one of them may have lost its processor."""
    spins = b.var(pool.get(SPIN))
    left = pool.word(LEFT)
    with b.while_(lambda: (b.atomic_load(left, "acquire") < joined) & (spins.get() > 0)):
        b.pause()
        spins.set(spins.get() - 1)
    if not b.has_futex:
        return
    with b.if_(b.atomic_load(left, "acquire") < joined, likely=False):
        b.atomic_store(pool.word(WAITING), 1)
        now = b.var(b.atomic_load(left))
        with b.while_(lambda: now.get() < joined):
            b.futex_wait(left, now.get())
            now.set(b.atomic_load(left))


def _emit_worker(module: Module, work: Any) -> None:
    with module.function("sardonyx_worker", I64.llvm, [PTR, I64.llvm]) as b:
        pool, me = _Pool(b, b.pointer_argument(0, dtypes.int64)), b.argument(1) + 1
        if not b.has_futex:
            b.return_(0)
            return
        state, parked = pool.word(STATE), pool.line(me, PARKED)
        seen, spins = b.var(b.i64(0)), b.var(pool.get(SPIN))
        own = pool.line(me, PROCESSOR)
        with b.if_(own.load() >= 0):
            _emit_pin(b, own.load())
        with b.while_(lambda: b.atomic_load(pool.word(STOP), "acquire") == 0):
            now = b.atomic_load(state, "acquire")
            with b.if_else((now >> _EPOCH) != seen.get()) as (news, idle):
                with news:
                    spins.set(pool.get(SPIN))
                    _emit_join(b, pool, work, me, now, seen)
                with idle, b.if_else(spins.get() > 0) as (spin, park):
                    with spin:
                        spins.set(spins.get() - 1)
                        b.pause()
                    with park:
                        b.atomic_store(parked, 1)
                        quiet = (b.atomic_load(state) >> _EPOCH) == seen.get()
                        with b.if_(quiet & (b.atomic_load(pool.word(STOP)) == 0)):
                            b.futex_wait(parked, 1)
                            _emit_make_room(b, pool, own)
                        b.atomic_store(parked, 0)
        b.return_(0)


def _emit_make_room(b: FunctionBuilder, pool: _Pool, own: Pointer) -> None:
    """Two threads of a team on one processor take turns of milliseconds: the worker goes where no thread is pinned."""
    with b.if_((own.load() >= 0) & (own.load() == b.atomic_load(pool.word(CALLER), "monotonic")), likely=False):
        own.store(b.atomic_update("xchg", pool.word(FREE), own.load()))
        _emit_pin(b, own.load())


def _emit_pin(b: FunctionBuilder, processor: Value) -> None:
    """Binds the calling thread to one processor; where that is refused it stays free to move."""
    words = _MASK_BITS // 64
    mask = b.local(dtypes.int64, words, 8)
    with b.loop(words) as word:
        mask.store(b.i64(0), word)
    mask.store(b.i64(1) << (processor % 64), processor // 64)
    arguments = [ir.Constant(ir.IntType(32), 0), b.i64(words * 8).ir, mask.ir]
    b.intrinsic("sched_setaffinity", ir.IntType(32), arguments)


def _emit_join(b: FunctionBuilder, pool: _Pool, work: Any, me: Value, now: Value, seen: Any) -> None:
    """Joins an open job that wants this worker. After a lost exchange (another joined first) it tries again."""
    state, left = pool.word(STATE), pool.word(LEFT)
    wanted = ((now & _OPEN) != 0) & (me < b.atomic_load(pool.word(THREADS), "monotonic"))
    with b.if_else(wanted) as (join, pass_by):
        with join, b.if_(b.compare_exchange(state, now, now + 1)):
            seen.set(now >> _EPOCH)
            b.ir.call(work, [pool.base.ir, me.ir])
            b.atomic_update("add", left, 1)
            with b.if_(b.atomic_load(pool.word(WAITING)) != 0, likely=False):
                b.futex_wake(left)
        with pass_by:
            seen.set(now >> _EPOCH)


def _emit_stop(module: Module) -> None:
    """``sardonyx_stop(pool, workers)``: makes the workers return when they are idle."""
    with module.function("sardonyx_stop", I64.llvm, [PTR, I64.llvm]) as b:
        pool = _Pool(b, b.pointer_argument(0, dtypes.int64))
        b.atomic_store(pool.word(STOP), 1)
        if b.has_futex:
            with b.loop(b.argument(1) + 1, 1) as thread:
                b.atomic_store(pool.line(thread, PARKED), 0)
                b.futex_wake(pool.line(thread, PARKED))
        b.return_(0)


def _emit_spin(module: Module) -> None:
    """``sardonyx_spin(n)``: n turns of the waiting loop, so that the bound can be set in time."""
    with module.function("sardonyx_spin", I64.llvm, [PTR, I64.llvm]) as b:
        word = b.pointer_argument(0, dtypes.int64)
        with b.loop(b.argument(1)):
            b.atomic_load(word, "acquire")
            b.pause()
        b.return_(0)


def _emit_now(module: Module) -> None:
    """``sardonyx_now()``: nanoseconds of CLOCK_MONOTONIC, the clock of Python's ``time.perf_counter_ns``."""
    with module.function("sardonyx_now", I64.llvm, []) as b:
        time = b.local(dtypes.int64, 2)
        b.intrinsic("clock_gettime", ir.IntType(32), [ir.Constant(ir.IntType(32), 1), time.ir])
        b.return_(time.load(0) * 1_000_000_000 + time.load(1))
