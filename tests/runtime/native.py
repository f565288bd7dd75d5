"""Hand-made native code for the tests of the runtime: kernels and regions emitted without the compiler."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

from lang.harness import addresses
from sardonyx import dtypes
from sardonyx.compiler.load import install_pool
from sardonyx.lang import FunctionBuilder, KernelBuilder, Module
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.lang.loader import Loaded, load_objects
from sardonyx.lang.types import I64, PTR
from sardonyx.runtime.native import NativeCode, NativeStep
from sardonyx.runtime.pool import ThreadTeam, code
from sardonyx.runtime.program import Call, DimOf, ElementOf, InputSpec, OutputSpec, Region, Slot

PARALLEL = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4, ctypes.c_int64, ctypes.c_int64)
_KEPT: list[Loaded] = []


def load_kernel(name: str, body: Callable[[KernelBuilder], None]) -> int:
    """The address of a kernel."""
    module = Module(host_target(), name)
    with module.kernel(name) as b:
        body(b)
    loaded = load_objects([compile_text(module.text(), host_target())], [name])
    _KEPT.append(loaded)
    return loaded.addresses[name]


@functools.cache
def counting_kernel() -> int:
    """Adds 1 to ``counts[task]``; fails with status 7 at task ``sizes[0]``; ``sizes[1]`` turns of idle work."""

    def body(b: KernelBuilder) -> None:
        counts, failing, turns = b.buffer(0, dtypes.int64), b.size(0), b.size(1)
        with b.tasks() as task:
            b.return_if(task == failing, 7)
            waste = b.var(counts.load(task))
            with b.loop(turns):
                waste.set(waste.get() * 3 + 1)
            with b.loop(turns):
                waste.set((waste.get() - 1) // 3)
            counts.store(counts.load(task) + 1 + b.select(waste.get() == -1, b.i64(1), b.i64(0)), task)

    return load_kernel("counting", body)


def parallel(
    team: ThreadTeam,
    kernel: int,
    counts: ctypes.Array[ctypes.c_int64],
    tasks: int,
    grain: int = 1,
    fail: int = -1,
    turns: int = 0,
) -> int:
    """One parallel call of the counting kernel."""
    install_pool()
    native = code()
    assert native is not None
    buffers, _words = addresses([np.ctypeslib.as_array(counts)])
    sizes = (ctypes.c_int64 * 2)(fail, turns)
    call = PARALLEL(native.parallel)
    return int(call(team.address, kernel, buffers, ctypes.addressof(sizes), tasks, grain))


def scale_region() -> NativeStep:
    """``y[n, m] = x[n, m] * 2 w + k`` by way of the arena, and ``z[k]``, of which ``run`` keeps the first n.

    w is a weight (float32[1]) that ``prepare`` doubles into the prepared arena, k the last element of int64[2].

    Symbols: n, m (sizes of x), k and what k is below 0. Table: n, m, k, arena bytes, true size of z.
    """
    install_pool()
    module = Module(host_target(), "scale")
    with module.function("scale_plan", I64.llvm, [PTR, PTR]) as b:
        _emit_plan(b)
    with module.function("scale_prepare", I64.llvm, [PTR, PTR, I64.llvm]) as b:
        _pointer(b, 1).store(_pointer(b, 2).load() * 2.0)
        b.return_(0)
    with module.function("scale_run", I64.llvm, [PTR, PTR, PTR, PTR]) as b:
        _emit_run(b)
    text = compile_text(module.text(), host_target())
    names = ["scale_plan", "scale_prepare", "scale_run"]
    loaded = load_objects([text], names)
    region = Region(
        name="scale",
        inputs=(
            InputSpec("x", dtypes.float32, (Slot(0), Slot(1))),
            InputSpec("k", dtypes.int64, (2,)),
        ),
        outputs=(
            OutputSpec("y", dtypes.float32, (Slot(0), Slot(1))),
            OutputSpec("z", dtypes.float32, (Slot(2),), actual=(4,)),
        ),
        symbols=(DimOf(0, 0), DimOf(0, 1), ElementOf(1, 1), ElementOf(1, 1, negative=True)),
        table_size=5,
        arena=Slot(3),
        prepared=4,
        weights=1,
        calls=(Call("scale", ("mul", "add")), Call("shift", ("cut",))),
        checks=("node 'cut': k must not be negative",),
        plan="scale_plan",
        prepare="scale_prepare",
        prepare_calls=1,
        run="scale_run",
    )
    return NativeStep(region, NativeCode((text,), loaded.addresses, loaded), [np.array([1.5], np.float32)])


def _emit_plan(b: FunctionBuilder) -> None:
    symbols, table = b.pointer_argument(0, dtypes.int64), b.pointer_argument(1, dtypes.int64)
    n, m, k, below = (symbols.load(i) for i in range(4))
    for position, value in enumerate((n, m, k, n * m * 4)):
        table.store(value, position)
    with b.if_(k > 1 << 45):
        b.return_(-1)
    with b.if_(below > 0):
        b.return_(1)
    b.return_(0)


def _pointer(b: FunctionBuilder, index: int):  # type: ignore[no-untyped-def]
    raw = b.ir.load(b.pointer_argument(0, dtypes.int64).at(index).ir, typ=PTR, align=8)
    return b.pointer(raw, dtypes.float32)


def _emit_run(b: FunctionBuilder) -> None:
    table = b.pointer_argument(1, dtypes.int64)
    arena, prepared, x, y, z = (_pointer(b, i) for i in (0, 1, 3, 5, 6))
    n, count, k = table.load(0), table.load(0) * table.load(1), table.load(2)
    with b.loop(count) as i:
        arena.store(x.load(i) * prepared.load(), i)
    with b.loop(count) as i:
        y.store(arena.load(i) + k.to(dtypes.float32), i)
    with b.loop(k) as i:
        z.store(i.to(dtypes.float32), i)
    with b.if_(k == 13):
        b.return_((1 << 8) | 1)
    table.store(b.minimum(n, k), 4)
    b.return_(0)
