"""The native code of a region around its kernels: ``plan``, ``prepare`` and ``run`` (see ``runtime.region``).

plan(symbols, table):
    check the sizes that must agree; refuse negative sizes and those beyond 2**47 bytes
    table = arena size, output sizes, and for each call: byte offsets, i64 arguments, tasks, grain
run(pointers, table, team, profile):
    for each call: bufs = pointers + offsets; status = parallel(team, kernel, bufs, &table[k], tasks, grain)
    with notes (profile): the time before and after each call; the run ends where the word behind these is not 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sardonyx import dtypes
from sardonyx.compiler.memory import ALIGNMENT, MemoryPlan
from sardonyx.compiler.workspace import Buffer, Call
from sardonyx.kernels.sizes import SizeCode, emit_dim
from sardonyx.kernels.spec import Operand, symbol_name
from sardonyx.lang import F64, I64, FunctionBuilder, Module, Pointer, Value
from sardonyx.lang.checking import bound_slots
from sardonyx.lang.pool import declare_parallel
from sardonyx.lang.types import PTR
from sardonyx.symbols import Dim, align_up, ceildiv, fold
from sardonyx.targets import Target

__all__ = ["Driver"]

MAX_BYTES = float(1 << 47)
SERIAL_WORK = 40_000
"""Kernel calls of less work stay on the calling thread; larger ones are cut into pieces of at least this much."""
_OVERFLOW = -1
_STOPPED = 255  # known to ``runtime.native``


class _Float:
    """The arithmetic of symbolic integers in float64: too inexact for offsets, but it does not wrap around."""

    def __init__(self, b: FunctionBuilder) -> None:
        self.b = b

    def add(self, x: Value, y: Value) -> Value:
        return x + y

    def subtract(self, x: Value, y: Value) -> Value:
        return x - y

    def multiply(self, x: Value, y: Value) -> Value:
        return x * y

    def floordiv(self, x: Value, y: Value) -> Value:
        return self.b.floor(x / self.b.select(y == 0.0, self.b.const(1.0, F64), y))

    def mod(self, x: Value, y: Value) -> Value:
        return x - self.floordiv(x, y) * y

    def minimum(self, x: Value, y: Value) -> Value:
        return self.b.select(x < y, x, y)

    def maximum(self, x: Value, y: Value) -> Value:
        return self.b.select(x > y, x, y)

    def broadcast(self, x: Value, y: Value) -> Value:
        return self.b.select(x == 1.0, y, x)


@dataclass
class _Table:
    """The numbers that ``plan`` leaves behind: position -> size expression."""

    entries: list[Dim]

    def add(self, dim: Dim) -> int:
        self.entries.append(dim)
        return len(self.entries) - 1


class Driver:
    """Lays out the table of a region and emits its functions.

    ``symbols`` are the names of the size symbols in the order in which ``plan`` receives them, ``definitions`` what
    further ones stand for; ``checks`` pairs of sizes that must be equal, in the order of their messages. ``from_data``
    is whether sizes may be any numbers, so that arithmetic on them may leave 64 bits.
    """

    def __init__(
        self,
        target: Target,
        buffers: Sequence[Buffer],
        memory: MemoryPlan,
        symbols: Sequence[str],
        checks: Sequence[tuple[Dim, Dim]],
        weights: int,
        inputs: int,
        prepared_sizes: Sequence[int],
        definitions: Mapping[str, Dim],
        from_data: bool,
    ) -> None:
        self.target = target
        self.buffers = buffers
        self.memory = memory
        self.symbols = {name: place for place, name in enumerate(symbols)}
        self.definitions = definitions
        self.from_data = from_data
        self.checks = checks
        self.first = {"temporary": 0, "prepared": 1, "weight": 2, "input": 2 + weights, "output": 2 + weights + inputs}
        self.table = _Table([])
        self.slot_offsets: dict[int, int] = {}
        self.counts = [self.table.add(0) for buffer in buffers if buffer.kind == "count"]
        self.prepared_offsets: list[int] = []
        self.prepared_bytes = 0
        for size in prepared_sizes:
            self.prepared_offsets.append(self.prepared_bytes)
            self.prepared_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        self._reserve_slots()

    def _reserve_slots(self) -> None:
        """Positions of the slots' offsets and, last, of the arena's size: running sums that ``plan`` fills itself."""
        for slot in range(len(self.memory.slots)):
            self.slot_offsets[slot] = self.table.add(0)
        self.arena_position = self.table.add(0) if self.memory.slots else -1

    @property
    def arena(self) -> int | None:
        """The arena's size in bytes, None where ``plan`` computes it (at ``arena_position``)."""
        return None if self.memory.slots else self.memory.fixed_size

    def emit(self, name: str, calls: Sequence[Call], prepare: Sequence[Call]) -> str:
        """The functions ``<name>_plan``, ``<name>_run`` and ``<name>_prepare`` as LLVM assembly."""
        module = Module(self.target, name)
        kernels = {symbol_name(call.kernel, self.target): None for call in [*calls, *prepare]}
        externals = {k: module.external(k, I64.llvm, [PTR, PTR, I64.llvm, I64.llvm]) for k in kernels}
        parallel = declare_parallel(module)
        now = module.external("sardonyx_now", I64.llvm, [])
        laid_out = [self._lay_out(call) for call in calls]
        prepared = [self._lay_out(call) for call in prepare]
        with module.function(f"{name}_run", I64.llvm, [PTR, PTR, PTR, PTR]) as b:
            self._emit_calls(b, calls, laid_out, externals, parallel, now)
        with module.function(f"{name}_prepare", I64.llvm, [PTR, PTR, I64.llvm]) as b:
            self._emit_prepare(b, prepare, prepared, externals, parallel)
        with module.function(f"{name}_plan", I64.llvm, [PTR, PTR]) as b:
            self._emit_plan(b)
        return module.text()

    # -- the table -----------------------------------------------------------------------------------------------

    def _lay_out(self, call: Call) -> _CallLayout:
        offsets = [self._operand_offset(operand) for operand in call.operands]
        extents = [self._extent(operand) for operand in call.operands] if self.target.checked else []
        sizes = len(self.table.entries)
        for dim in call.sizes:
            self.table.add(dim)
        tasks, grain = self._tabled(call.tasks), self._tabled(self._grain(call))
        return _CallLayout(offsets, extents, sizes, tasks, grain)

    def _tabled(self, number: Dim) -> int:
        """A number that is not negative, or -1 minus the position of the table where it stands."""
        return number if isinstance(number, int) else -1 - self.table.add(number)

    def _operand_offset(self, operand: Operand) -> tuple[int | None, int]:
        """An operand's place in its memory in bytes: a position of the table (None: no such part) and a constant."""
        offset, base = operand.offset * operand.dtype.itemsize, self._base(operand)
        if isinstance(offset, int):
            return None, base + offset
        return self.table.add(offset), base

    def _base(self, operand: Operand) -> int:
        """Where an operand's buffer begins in its memory, as far as that is known here."""
        buffer = self.buffers[operand.buffer]
        if buffer.kind == "prepared":
            return self.prepared_offsets[buffer.place]
        if buffer.kind == "temporary" and operand.buffer in self.memory.fixed:
            return self.memory.fixed[operand.buffer]
        return 0

    def _extent(self, operand: Operand) -> tuple[int, int]:
        """Where an operand's buffer begins, and its size in bytes (see ``_tabled``)."""
        return self._base(operand), self._tabled(self.buffers[operand.buffer].size)

    def _grain(self, call: Call) -> Dim:
        """Tasks per piece, so that a piece is worth a thread's while."""
        work = call.work
        if isinstance(work, int) and work == 0:
            work = call.tasks * SERIAL_WORK // 8
        grain = ceildiv(call.tasks * SERIAL_WORK, work + 1)
        return grain if not isinstance(grain, int) else max(1, grain)

    # -- plan ----------------------------------------------------------------------------------------------------

    def _emit_plan(self, b: FunctionBuilder) -> None:
        source, table = b.pointer_argument(0, dtypes.int64), b.pointer_argument(1, dtypes.int64)
        values = {name: source.load(place) for name, place in self.symbols.items()}
        if not self.from_data:
            self._emit_limits(b, values)
        sizes = SizeCode(b, values, self.definitions, self.from_data)
        for place, dim in enumerate(self.table.entries):
            table.store(sizes(dim), place)
        total = b.i64(self.memory.fixed_size)
        for slot, members in enumerate(self.memory.slots):
            table.store(total, self.slot_offsets[slot])
            size = b.i64(0)
            for member in members:
                size = b.maximum(size, sizes(align_up(member, ALIGNMENT)))
            total = total + size
        if self.memory.slots:
            table.store(total, self.arena_position)
        for number, (left, right) in enumerate(self.checks):
            b.return_if(b.not_(sizes(left) == sizes(right)), number + 1)
        if self.from_data:  # what a check says of wrong data is clearer than that the sizes it leads to are absurd
            b.return_if(sizes.overflow.get(), _OVERFLOW)
            self._emit_limits(b, values)
        b.return_(0)

    def _emit_limits(self, b: FunctionBuilder, values: Mapping[str, Value]) -> None:
        floats = {name: value.to(dtypes.float64) for name, value in values.items()}
        arithmetic = _Float(b)

        def number(name: str) -> Value:
            if name not in floats:
                floats[name] = estimate(self.definitions[name])
            return floats[name]

        def estimate(size: Dim) -> Value:
            return fold(size, number, lambda n: b.const(float(n), F64), arithmetic)

        sizes = dict.fromkeys(buffer.size for buffer in self.buffers if not isinstance(buffer.size, int))
        for size in sizes:
            amount = estimate(size)
            b.return_if((amount > MAX_BYTES) | (amount < 0.0), _OVERFLOW)

    # -- run -----------------------------------------------------------------------------------------------------

    def _emit_calls(
        self,
        b: FunctionBuilder,
        calls: Sequence[Call],
        layouts: Sequence[_CallLayout],
        externals: dict[str, Any],
        parallel: Any,
        now: Any,
    ) -> None:
        pointers, team, profile = b.function.args[0], b.function.args[2], b.function.args[3]
        table, notes = b.pointer_argument(1, dtypes.int64), b.pointer_argument(3, dtypes.int64)
        noting = b.not_(b.is_null(profile))
        bufs = b.address_array(max((len(call.operands) for call in calls), default=1))
        for number, (call, layout) in enumerate(zip(calls, layouts, strict=True)):
            with b.if_(noting, likely=False):
                notes.store(b.call(now, []), 2 * number)
            status = self._emit_call(b, call, layout, pointers, table, bufs, team, externals, parallel)
            with b.if_(noting, likely=False):
                notes.store(b.call(now, []), 2 * number + 1)
                b.return_if(notes.load(2 * len(calls)) != 0, _STOPPED)
            with b.if_(status != 0, likely=False):
                b.return_(status | (number << 8))
        b.return_(0)

    def _emit_call(
        self,
        b: FunctionBuilder,
        call: Call,
        layout: _CallLayout,
        pointers: Any,
        table: Pointer | None,
        bufs: Any,
        team: Any,
        externals: dict[str, Any],
        parallel: Any,
    ) -> Value:
        self._store_operands(b, call, layout, pointers, table, bufs)
        kernel = externals[symbol_name(call.kernel, self.target)]
        sizes = b.function.args[1] if table is None else table.at(layout.sizes).ir
        tasks = _number(b, layout.tasks, table)
        if isinstance(call.work, int) and 0 < call.work < SERIAL_WORK:
            return b.call(kernel, [bufs, sizes, b.i64(0).ir, tasks.ir])
        grain = _number(b, layout.grain, table)
        return b.call(parallel, [team, kernel, bufs, sizes, tasks.ir, grain.ir])

    def _store_operands(
        self,
        b: FunctionBuilder,
        call: Call,
        layout: _CallLayout,
        pointers: Any,
        table: Pointer | None,
        bufs: Any,
    ) -> None:
        """The addresses that a kernel takes, and the bounds of its buffers where it checks them."""
        for slot, (operand, (position, constant)) in enumerate(zip(call.operands, layout.offsets, strict=True)):
            b.store_address(bufs, slot, self._address(b, operand, position, constant, pointers, table))
        for slot, (operand, (base, size)) in enumerate(zip(call.operands, layout.extents, strict=False)):
            begin = self._address(b, operand, None, base, pointers, table)
            first, behind = bound_slots(slot)
            b.store_address(bufs, first, begin)
            b.store_address(bufs, behind, b.advance(begin, _number(b, size, table)))

    def _address(
        self,
        b: FunctionBuilder,
        operand: Operand,
        position: int | None,
        constant: int,
        pointers: Any,
        table: Pointer | None,
    ) -> Any:
        buffer = self.buffers[operand.buffer]
        if buffer.kind == "count" and table is not None:
            return table.at(self.counts[buffer.place]).ir
        place = 0 if buffer.kind in ("temporary", "prepared") else buffer.place
        address = b.load_address(pointers, self.first[buffer.kind] + place)
        offset = b.i64(constant)
        if table is not None and position is not None:
            offset = offset + table.load(position)
        if table is not None and buffer.kind == "temporary" and operand.buffer in self.memory.slot_of:
            offset = offset + table.load(self.slot_offsets[self.memory.slot_of[operand.buffer]])
        return b.advance(address, offset)

    def _emit_prepare(
        self,
        b: FunctionBuilder,
        calls: Sequence[Call],
        layouts: Sequence[_CallLayout],
        externals: dict[str, Any],
        parallel: Any,
    ) -> None:
        """One call by its number. Everything about prepared memory is constant: its sizes are put on the stack here."""
        pointers, team = b.function.args[0], b.function.args[1]
        bufs = b.address_array(max((len(call.operands) for call in calls), default=1))
        for number, (call, layout) in enumerate(zip(calls, layouts, strict=True)):
            with b.if_(b.argument(2) == number):
                self._store_operands(b, call, layout, pointers, None, bufs)
                sizes = b.local(dtypes.int64, max(1, len(call.sizes)), 8)
                for place, size in enumerate(call.sizes):
                    sizes.store(emit_dim(b, size, _no_symbol), place)
                kernel = externals[symbol_name(call.kernel, self.target)]
                tasks, grain = b.i64(layout.tasks), b.i64(max(1, layout.grain))
                b.return_(b.call(parallel, [team, kernel, bufs, sizes.ir, tasks.ir, grain.ir]))
        b.return_(0)


@dataclass(frozen=True)
class _CallLayout:
    """Where a call finds its numbers: ``offsets`` and, where they are checked, ``extents`` per operand, ``sizes`` the
    table position of its arguments; ``tasks`` and ``grain`` are the numbers, or -1 minus a table position."""

    offsets: list[tuple[int | None, int]]
    extents: list[tuple[int, int]]
    sizes: int
    tasks: int
    grain: int


def _number(b: FunctionBuilder, number: int, table: Pointer | None) -> Value:
    if number >= 0 or table is None:
        return b.i64(number)
    return table.load(-1 - number)


def _no_symbol(name: str) -> Value:
    raise AssertionError(f"a prepared buffer depends on the size {name!r}")
