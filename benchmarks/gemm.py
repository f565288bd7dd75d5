"""Matrix products against the machine's measured peak.

    python benchmarks/gemm.py [--threads 1 2] [--calls 1000] [--seconds 2] [--shapes square|resnet50|all] [--json]

Every product runs back to back in native code, with the pool's workers awake; each call is timed. The share is that of
the fp32 peak with as many cores busy: the highest one seen in the run, which is measured anew with each product.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.compiler.load import install_pool
from sardonyx.kernels.gemm import Gemm
from sardonyx.kernels.gemm_grid import plan_grid
from sardonyx.kernels.pack import packed_size
from sardonyx.kernels.point import Carried, PointProgram
from sardonyx.kernels.spec import kernel_text, symbol_name
from sardonyx.lang import I64, Module
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.lang.loader import Loaded, load_objects
from sardonyx.lang.pool import declare_parallel
from sardonyx.lang.types import PTR
from sardonyx.measure import fp32_peak
from sardonyx.runtime.pool import code, team
from sardonyx.symbols import symbol

SIZES = (128, 768, 3072, 1024)

# (output pixels, output channels, input channels x kernel elements) of ResNet-50 at 224 x 224, each shape once.
RESNET50 = (
    (12544, 64, 147), (3136, 64, 64), (3136, 64, 576), (3136, 256, 64), (3136, 64, 256), (3136, 128, 256),
    (784, 128, 1152), (784, 512, 128), (784, 512, 256), (784, 128, 512), (784, 256, 512), (196, 256, 2304),
    (196, 1024, 256), (196, 1024, 512), (196, 256, 1024), (196, 512, 1024), (49, 512, 4608), (49, 2048, 512),
    (49, 2048, 1024), (49, 512, 2048),
)  # fmt: skip


@dataclass
class Result:
    """One product on so many threads; times in microseconds, rates in GFLOP/s."""

    m: int
    n: int
    k: int
    threads: int
    calls: int
    microseconds: float
    gflops: float
    peak: float
    share: float = 0.0


class Product:
    """A compiled product with its operands and the loop that times calls of it."""

    def __init__(self, m: int, n: int, k: int) -> None:
        self.work = 2.0 * m * n * k
        target, f32 = host_target(), dtypes.float32
        install_pool()
        pool = code()
        assert pool is not None
        grid = plan_grid(target, f32, m, n, k)
        place = symbol("i0") * n + symbol("i1")
        spec = Gemm(m, n, k, f32, f32, k, f32, place, PointProgram((Carried(0, f32),), (0,)))
        name = symbol_name(spec, target)
        objects = [compile_text(text, target) for text in (kernel_text(spec, target), _timer_text(name))]
        self.loaded: Loaded = load_objects(objects, ["timer"], pool.imports)
        self.timer = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_void_p)(
            self.loaded.addresses["timer"]
        )
        packed = int(packed_size(k, n, grid.shape.columns))  # type: ignore[arg-type]  # all sizes are constants
        self.operands = [_aligned(m * k), _aligned(packed), _aligned(m * n)]
        self.buffers = (ctypes.c_void_p * 3)(*(operand.ctypes.data for operand in self.operands))
        self.tasks = int(grid.tasks)  # type: ignore[arg-type]

    def run(self, threads: int, calls: int) -> npt.NDArray[np.float64]:
        """Seconds of each of ``calls`` calls in a row."""
        stamps = np.zeros(calls + 1, np.int64)
        workers = team(threads)  # must live as long as native code has its address
        self.timer(workers.address, ctypes.addressof(self.buffers), self.tasks, calls, stamps.ctypes.data)
        return np.diff(stamps) * 1e-9


def _aligned(count: int) -> npt.NDArray[np.float32]:
    memory = np.random.default_rng(0).standard_normal(count + 16, np.float32)
    start = -(memory.ctypes.data // 4) % 16
    return memory[start : start + count]


def _timer_text(kernel: str) -> str:
    """``for i in range(calls): stamps[i] = now(); parallel(team, kernel, bufs, null, tasks, 1)``, and a last stamp."""
    module = Module(host_target(), "timer")
    parallel = declare_parallel(module)
    callee = module.external(kernel, I64.llvm, [PTR, PTR, I64.llvm, I64.llvm])
    now = module.external("sardonyx_now", I64.llvm, [])
    with module.function("timer", I64.llvm, [PTR, PTR, I64.llvm, I64.llvm, PTR]) as b:
        stamps = b.pointer_argument(4, dtypes.int64)
        with b.loop(b.argument(3)) as call:
            stamps.store(b.value(b.ir.call(now, []), I64), call)
            arguments = b.function.args
            b.ir.call(parallel, [arguments[0], callee, arguments[1], arguments[1], arguments[2], b.i64(1).ir])
        stamps.store(b.value(b.ir.call(now, []), I64), b.argument(3))
        b.return_(0)
    return module.text()


def measure(shape: Sequence[int], threads: int, calls: int, seconds: float) -> Result:
    """The median time of up to ``calls`` calls in about ``seconds``, after some calls to warm up."""
    product = Product(*shape)
    once = float(np.median(product.run(threads, 3)))
    count = max(5, min(calls, int(seconds / once)))
    product.run(threads, max(1, count // 10))
    times = product.run(threads, count)
    median = float(np.median(times))
    m, n, k = shape
    rate = product.work / median
    return Result(m, n, k, threads, count, median * 1e6, rate / 1e9, fp32_peak(threads) / 1e9)


def share(results: Sequence[Result]) -> None:
    """Fills in the shares of the highest peak: other work on the machine can only lower what is measured of it."""
    for result in results:
        result.peak = max(other.peak for other in results if other.threads == result.threads)
        result.share = result.gflops / result.peak


def shapes(kind: str) -> list[tuple[int, ...]]:
    square = list(itertools.product(SIZES, repeat=3))
    return {"square": square, "resnet50": list(RESNET50), "all": [*square, *RESNET50]}[kind]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--calls", type=int, default=1000, help="calls of one product, back to back")
    parser.add_argument("--seconds", type=float, default=2.0, help="bound on the time of one product")
    parser.add_argument("--shapes", choices=["square", "resnet50", "all"], default="all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    results: list[Result] = []
    for threads in options.threads:
        for shape in shapes(options.shapes):
            results.append(measure(shape, threads, options.calls, options.seconds))
            share(results)
            if not options.json:
                _print(results[-1])
    summary: list[dict[str, Any]] = []
    for threads in options.threads:
        shares = [result.share for result in results if result.threads == threads]
        summary.append({"threads": threads, "median": float(np.median(shares)), "minimum": min(shares)})
    if options.json:
        json.dump({"results": [asdict(result) for result in results], "summary": summary}, sys.stdout, indent=1)
        return 0
    for line in summary:
        print(f"{line['threads']} threads: median {line['median']:.1%}, minimum {line['minimum']:.1%} of the peak")
    return 0


def _print(r: Result) -> None:
    print(
        f"{r.m:6} x {r.n:5} x {r.k:5}  {r.threads} threads  {r.microseconds:10.1f} us  {r.gflops:7.1f} GFLOP/s"
        f"  {r.share:6.1%} of {r.peak:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
