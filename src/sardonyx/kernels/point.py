"""Point programs: what is computed for one element, as data.

A point program is a straight line of instructions evaluated at one position of a loop nest: loads at affine or computed
offsets, constants, and applications of pointwise operators. Fused maps are a point program in a plain loop nest;
anchors (GEMM, convolution, reductions ...) apply one to each result while it is still in registers (the epilogue) or
to each input element as it is read (the prologue).

Offsets and sizes are symbolic integers over three families of symbols: ``i0, i1 ...`` are the positions in the loops,
``s0, s1 ...`` the kernel's i64 arguments, ``v0, v1 ...`` the values of ``CheckedIndex`` instructions by their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Type, Value, promoted
from sardonyx.symbols import Dim, free_symbols, linear

__all__ = [
    "Apply",
    "Carried",
    "CheckedIndex",
    "Constant",
    "IndexValue",
    "Instruction",
    "Load",
    "PointOp",
    "PointProgram",
    "Position",
    "compute_dtype",
    "emit_point",
    "emit_programs",
    "program_lanes",
]

STATUS_INDEX = 1
"""Status of a kernel that met an index out of range."""


class PointOp(Protocol):
    """A pointwise operator: an op record whose ``repr`` is complete."""

    def compute(self, *values: Value) -> Value | tuple[Value, ...]:
        """Builds the operation on values of the compute dtypes (scalars or vectors of one width)."""


@dataclass(frozen=True)
class Load:
    """Reads a buffer at an offset in elements; where a condition is negative, nothing is read, and ``fill`` given."""

    buffer: int
    dtype: DType
    offset: Dim
    conditions: tuple[Dim, ...] = ()
    fill: float | int = 0


@dataclass(frozen=True)
class CheckedIndex:
    """The integer at place ``index`` as an index that later offsets refer to as ``v<place>``.

    An index in [0, bound) stays, with ``wraps`` one in [-bound, 0) counts from the end; any other makes the kernel
    return STATUS_INDEX. Where a condition is negative, the index is 0.
    """

    index: int
    bound: Dim
    conditions: tuple[Dim, ...] = ()
    wraps: bool = True


@dataclass(frozen=True)
class Constant:
    """The same number at every position."""

    value: float | int | bool
    dtype: DType


@dataclass(frozen=True)
class IndexValue:
    """An expression of positions and sizes as an int64 value."""

    expression: Dim


@dataclass(frozen=True)
class Carried:
    """A value that the kernel around the program hands in: an accumulator, a normalised element."""

    place: int
    dtype: DType


@dataclass(frozen=True)
class Apply:
    """``op`` on the results of earlier instructions; ``result`` picks one of several outputs of type ``dtype``."""

    op: PointOp
    args: tuple[int, ...]
    dtype: DType
    result: int = 0


Instruction = Load | CheckedIndex | Constant | IndexValue | Carried | Apply


@dataclass(frozen=True)
class PointProgram:
    """Instructions in order and the places of the results. ``buffers`` and ``sizes`` count the slots it refers to."""

    instructions: tuple[Instruction, ...]
    results: tuple[int, ...]
    buffers: int = 0
    sizes: int = 0

    def dtype(self, place: int) -> DType:
        """The dtype of the instruction at a place."""
        instruction = self.instructions[place]
        if isinstance(instruction, IndexValue | CheckedIndex):
            return dtypes.int64
        return instruction.dtype


@dataclass
class Position:
    """Where a program is evaluated.

    ``index`` holds the i64 position in each loop; with ``lanes`` above 1, loop ``vector_loop`` covers that many
    consecutive positions, of which ``mask`` (None: all) are inside.
    """

    index: Sequence[Value]
    lanes: int = 1
    vector_loop: int = -1
    mask: Value | None = None


def compute_dtype(dtype: DType) -> DType:
    """The dtype that values of ``dtype`` are computed in: half precision and smaller types are only stored."""
    return promoted(dtype) or dtype


def program_lanes(b: KernelBuilder, program: PointProgram) -> int:
    """A vector width that suits every value of the program: that of its widest type."""
    sizes = [compute_dtype(program.dtype(k)).itemsize for k in range(len(program.instructions))]
    return b.target.lanes(max(sizes, default=4))


def emit_point(
    b: KernelBuilder,
    program: PointProgram,
    position: Position,
    carried: Sequence[Value] = (),
    first_buffer: int = 0,
    first_size: int = 0,
) -> list[Value]:
    """Builds the program at a position and gives its results, in their compute dtypes.

    ``first_buffer`` and ``first_size`` are the kernel's slots that the program's slot 0 stands for.
    """
    emitter = _Emitter(b, program, position, carried, first_buffer, first_size)
    for place, instruction in enumerate(program.instructions):
        emitter.values.append(emitter.build(place, instruction))
    return [emitter.values[place] for place in program.results]


def emit_programs(
    b: KernelBuilder,
    programs: Sequence[PointProgram | None],
    position: Position,
    carried: Sequence[Value],
    first_buffer: int,
    first_size: int,
) -> list[Value]:
    """Builds programs one after the other, each on the results of the one before; their slots follow each other."""
    values = list(carried)
    for program in programs:
        if program is not None:
            values = emit_point(b, program, position, values, first_buffer, first_size)
            first_buffer, first_size = first_buffer + program.buffers, first_size + program.sizes
    return values


class _Emitter:
    def __init__(
        self,
        b: KernelBuilder,
        program: PointProgram,
        position: Position,
        carried: Sequence[Value],
        buffers: int,
        sizes: int,
    ) -> None:
        self.b = b
        self.program = program
        self.position = position
        self.carried = carried
        self.first_buffer = buffers
        self.first_size = sizes
        self.values: list[Any] = []
        self.cache: dict[tuple[object, ...], Value | tuple[Value, ...]] = {}

    def build(self, place: int, instruction: Instruction) -> Value:
        match instruction:
            case Load():
                return self.load(instruction)
            case CheckedIndex():
                return self.checked_index(instruction)
            case Constant(value, dtype):
                return self.b.const(value, Type(compute_dtype(dtype)))
            case IndexValue(expression):
                return self.dim(expression)
            case Carried(carried, _):
                return self.carried[carried]
            case Apply():
                return self.apply(instruction)

    def apply(self, instruction: Apply) -> Value:
        key = (instruction.op, instruction.args)
        if key not in self.cache:
            operands = [self.values[k] for k in instruction.args]
            lanes = max((v.lanes for v in operands), default=1)
            self.cache[key] = instruction.op.compute(*(self.b.splat(v, lanes) for v in operands))
        result = self.cache[key]
        value = result[instruction.result] if isinstance(result, tuple) else result
        return value.to(compute_dtype(instruction.dtype))

    # -- integer expressions -------------------------------------------------------------------------------------

    def varies(self, expression: Dim) -> bool:
        """Whether an expression differs from lane to lane."""
        if self.position.lanes == 1:
            return False
        inner = f"i{self.position.vector_loop}"
        return any(s == inner or (s[0] == "v" and self.values[int(s[1:])].lanes > 1) for s in free_symbols(expression))

    def symbol(self, name: str, *, vector: bool) -> Value:
        kind, number = name[0], int(name[1:])
        if kind == "s":
            return self.b.size(self.first_size + number)
        if kind == "v":
            known: Value = self.values[number]
            return known
        value = self.position.index[number]
        if vector and number == self.position.vector_loop:
            return value + self.b.iota(I64.with_lanes(self.position.lanes))
        return value

    def dim(self, expression: Dim) -> Value:
        """An integer expression as a scalar, or as a vector where it varies over the lanes."""
        vector = self.varies(expression)
        value = emit_dim(self.b, expression, lambda name: self.symbol(name, vector=vector))
        return self.b.splat(value, self.position.lanes) if vector else value

    def mask(self, conditions: Sequence[Dim]) -> Value | None:
        """The lanes inside the loop for which every condition is at least zero; None where that is all of them."""
        mask = self.position.mask
        for condition in conditions:
            lanes = self.position.lanes
            holds = self.b.splat(self.dim(condition) >= 0, lanes)
            mask = holds if mask is None else mask & holds
        return mask

    # -- memory --------------------------------------------------------------------------------------------------

    def load(self, instruction: Load) -> Value:
        b = self.b
        pointer = b.buffer(self.first_buffer + instruction.buffer, instruction.dtype)
        dtype, fill = compute_dtype(instruction.dtype), instruction.fill
        lanes = self.position.lanes
        varying = self.varies(instruction.offset)
        conditional = list(instruction.conditions)
        if not varying and not any(self.varies(c) for c in conditional):
            offset = self.dim(instruction.offset)
            if not conditional:
                return pointer.load(offset).to(dtype)
            result = b.var(b.const(fill, Type(dtype)))
            holds = self.dim(conditional[0]) >= 0
            for condition in conditional[1:]:
                holds = holds & (self.dim(condition) >= 0)
            with b.if_(holds):
                result.set(pointer.load(offset).to(dtype))
            return result.get()
        mask = self.mask(conditional)
        inner = f"i{self.position.vector_loop}"
        split = linear(instruction.offset, inner) if not self.gathers(instruction.offset) else None
        if split is not None and split[0] == 1:
            start = self.scalar(instruction.offset)
            value = pointer.load(start, lanes, mask)
        else:
            offsets = b.splat(self.dim(instruction.offset), lanes)
            value = pointer.gather(offsets, mask)
        value = value.to(dtype)
        if conditional and mask is not None and fill != 0:
            value = b.select(mask, value, fill)
        return value

    def gathers(self, expression: Dim) -> bool:
        """Whether an expression depends on index values that differ from lane to lane."""
        return any(s[0] == "v" and self.values[int(s[1:])].lanes > 1 for s in free_symbols(expression))

    def scalar(self, expression: Dim) -> Value:
        """An expression at the first lane."""
        return emit_dim(self.b, expression, lambda name: self.symbol(name, vector=False))

    def checked_index(self, instruction: CheckedIndex) -> Value:
        b = self.b
        given: Value = self.values[instruction.index]
        index = given.to(dtypes.int64)
        bound = b.splat(self.dim(instruction.bound), index.lanes)
        wrapped = b.select(index < 0, index + bound, index) if instruction.wraps else index
        wrong = (wrapped < 0) | (wrapped >= bound)
        if index.lanes > 1:
            inside = self.mask(instruction.conditions)
        else:
            inside = None  # the same at all lanes, at least one of which is inside the loop
            for condition in instruction.conditions:
                holds = self.dim(condition) >= 0
                inside = holds if inside is None else inside & holds
        if inside is not None:
            wrong = wrong & inside
            wrapped = b.select(inside, wrapped, 0)
        b.return_if(b.any(wrong), STATUS_INDEX)
        return wrapped


def emit_store(
    b: KernelBuilder, buffer: int, dtype: DType, offset: Dim, value: Value, position: Position, first_size: int = 0
) -> None:
    """Stores a result at an offset that is an expression of positions and sizes, rounding to ``dtype``."""
    emitter = _Emitter(b, PointProgram((), ()), position, (), 0, first_size)
    pointer = b.buffer(buffer, dtype)
    value = b.splat(value, position.lanes).to(dtype)
    if position.lanes == 1:
        pointer.store(value, emitter.dim(offset))
        return
    split = linear(offset, f"i{position.vector_loop}")
    if split is not None and split[0] == 1:
        pointer.store(value, emitter.scalar(offset), position.mask)
    else:
        pointer.scatter(value, b.splat(emitter.dim(offset), position.lanes), position.mask)
