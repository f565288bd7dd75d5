"""The most floating-point operations this machine does in a second: what every kernel is measured against."""

from __future__ import annotations

import ctypes
import functools
import threading
import time

from sardonyx.lang import F32, I64, Module
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.lang.loader import Loaded, load_objects
from sardonyx.lang.types import PTR
from sardonyx.targets import Target

__all__ = ["fp32_peak"]

# Registers that hold the two factors; all others accumulate, which hides the latency of the multiply-add.
FACTOR_REGISTERS = 4
BURST_SECONDS = 0.05
BURSTS = 5


def fp32_peak(threads: int = 1) -> float:
    """Measured peak of float32 multiply-adds, in operations per second (a multiply-add counts as two).

    All ``threads`` cores are busy while it is measured; the figure is the best of a few bursts of independent vector
    multiply-adds on registers, so that memory plays no part.
    """
    target = host_target()
    burst = _Burst(target)
    iterations = 1000
    while burst.seconds(iterations, 1) < BURST_SECONDS:
        iterations *= 2
    return max(burst.work(iterations) * threads / burst.seconds(iterations, threads) for _ in range(BURSTS))


class _Burst:
    """The compiled loop and how to run it on several threads at once."""

    def __init__(self, target: Target) -> None:
        self.lanes = target.lanes(4)
        self.accumulators = target.vector_registers - FACTOR_REGISTERS
        self.loaded = _load(target, self.accumulators)
        signature = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
        self.function = signature(self.loaded.addresses["peak"])

    def work(self, iterations: int) -> float:
        """Floating-point operations of one thread's burst."""
        return 2.0 * self.accumulators * self.lanes * iterations

    def seconds(self, iterations: int, threads: int) -> float:
        """From the start of the first thread's burst to the end of the last one's."""
        spans: list[tuple[float, float]] = []
        gate = threading.Barrier(threads)

        def burst() -> None:
            data = (ctypes.c_float * (2 * self.lanes))(*([1.0] * self.lanes + [1e-9] * self.lanes))
            gate.wait()
            start = time.perf_counter()
            self.function(ctypes.addressof(data), iterations)
            spans.append((start, time.perf_counter()))

        workers = [threading.Thread(target=burst) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(end for _, end in spans) - min(start for start, _ in spans)


@functools.cache
def _load(target: Target, accumulators: int) -> Loaded:
    """``for i in range(n): acc[j] = x * y + acc[j]``, for all accumulators j; their sum is stored at the end."""
    lanes = target.lanes(4)
    module = Module(target, "peak")
    with module.function("peak", I64.llvm, [PTR, I64.llvm]) as b:
        data, count = b.pointer_argument(0, F32.dtype), b.argument(1)
        x, y = data.load(0, lanes), data.load(lanes, lanes)
        # Different first values: equal accumulators would be merged into one.
        sums = [b.var(b.const(float(j), F32.with_lanes(lanes))) for j in range(accumulators)]
        with b.loop(count):
            for total in sums:
                total.set(b.fma(x, y, total.get()) if target.has_fma else x * y + total.get())
        result = sums[0].get()
        for total in sums[1:]:
            result = result + total.get()
        data.store(result)
        b.return_(0)
    return load_objects([compile_text(module.text(), target)], ["peak"])
