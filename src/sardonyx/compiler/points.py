"""Point programs from graph nodes: the expression of one element of a fused group.

``PointBuilder`` walks from the result back to what is stored in memory, composing index expressions as it goes. In them
``d0, d1 ...`` are the positions along the dimensions of the result; only when a load is built are they replaced by the
positions ``i0, i1 ...`` of the kernel's loops, and the sizes of the graph by argument slots ``s0, s1 ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import Apply, Carried, CheckedIndex, Constant, IndexValue, Instruction, Load, PointProgram
from sardonyx.kernels.point_ops import Choose, Convert, NotNegative
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Elementwise, Indexed, InferContext, Read
from sardonyx.ops.inference import GraphInfo
from sardonyx.symbols import Dim, free_symbols, known_equal, linear, minimum, substitute, symbol

__all__ = ["PointBuilder", "dimension_symbols", "loop_positions"]


def dimension_symbols(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """The position in each dimension of a result: ``d0, d1 ...``, and 0 where there is only one."""
    return tuple(0 if size == 1 else symbol(f"d{axis}") for axis, size in enumerate(shape))


def loop_positions(loops: Sequence[Sequence[int]], shape: Sequence[Dim]) -> dict[str, Dim]:
    """What each ``d`` is in terms of the loops' positions.

    A loop over several dimensions puts its flat position on the innermost and 0 on the others: the same element is
    addressed wherever the strides allow the dimensions to be walked as one.
    """
    positions: dict[str, Dim] = {f"d{axis}": 0 for axis in range(len(shape))}
    for number, dimensions in enumerate(loops):
        walked = [axis for axis in dimensions if shape[axis] != 1]
        if walked:
            positions[f"d{walked[-1]}"] = symbol(f"i{number}")
    return positions


@dataclass
class PointBuilder:
    """Builds one point program.

    ``inline`` maps a value to the node that computes it in this kernel, ``carried`` to the place of an accumulator;
    any other value is read through ``operand``, which says where it lies. ``adapt`` may replace an operand, given its
    strides over the dimensions of the result (None: not affine), by one of the result's full shape.
    """

    info: GraphInfo
    inline: dict[ir.Value, ir.Node]
    operand: Callable[[ir.Value], Operand]
    shape: Sequence[Dim]
    positions: Mapping[str, Dim]
    carried: dict[ir.Value, int] = field(default_factory=dict)
    adapt: Callable[[Operand, tuple[Dim, ...] | None], Operand] = lambda operand, strides: operand
    slots: Slots = field(default_factory=Slots)
    operands: list[Operand] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)

    def result(self, value: ir.Value) -> int:
        """The place of the result: ``value``, which has the result's shape."""
        return self.value(value, self.shape, dimension_symbols(self.shape))

    def program(self, results: Sequence[int]) -> PointProgram:
        return PointProgram(tuple(self.instructions), tuple(results), len(self.operands), len(self.slots.sizes))

    def add(self, instruction: Instruction) -> int:
        """The place of an instruction, shared with an equal one."""
        key = repr(instruction)  # by text: 0, 0.0, -0.0 and False are equal and not the same
        if key not in self._known:
            self._known[key] = len(self.instructions)
            self.instructions.append(instruction)
        return self._known[key]

    def slot_operand(self, operand: Operand) -> int:
        """The buffer slot that points at an operand's first element."""
        for place, known in enumerate(self.operands):
            if (known.buffer, known.offset, known.dtype) == (operand.buffer, operand.offset, operand.dtype):
                return place
        self.operands.append(operand)
        return len(self.operands) - 1

    def localised(self, expression: Dim) -> Dim:
        """An expression as the kernel sees it: loops' positions for dimensions, argument slots for sizes."""
        local: dict[str, Dim] = {}
        for name in free_symbols(expression):
            if name in self.positions:
                local[name] = self.positions[name]
            elif not (name[0] == "v" and name[1:].isdigit()):
                local[name] = self.slots.add(symbol(name))
        return substitute(expression, local)

    # -- values --------------------------------------------------------------------------------------------------

    def value(
        self, value: ir.Value, shape: Sequence[Dim], position: Sequence[Dim], conditions: tuple[Dim, ...] = ()
    ) -> int:
        """The place of a value's element at ``position`` of a domain of ``shape`` that the value is broadcast to."""
        info = self.info.of(value)
        if value in self.carried:
            return self.add(Carried(self.carried[value], _dtype(info)))
        constant = self._constant(info)
        if constant is not None:
            return constant
        own = _own_position(info, shape, position)
        node = self.inline.get(value)
        if node is None:
            return self._load(self.operand(value), own, conditions)
        record, ctx = self.info.records[node], self.info.contexts[node]
        if isinstance(record, Elementwise):
            return self._apply(node, record, ctx, info, own, conditions)
        if isinstance(record, Indexed):
            context = _Indexing(self, node, ctx, [self.info.of(v) for v in node.outputs], conditions)
            return self._read(context, record.index(context, tuple(own)))
        raise AssertionError(f"{ctx.op_type} cannot be part of a point program")

    def _apply(
        self,
        node: ir.Node,
        record: Elementwise,
        ctx: InferContext,
        info: TensorInfo,
        own: Sequence[Dim],
        conditions: tuple[Dim, ...],
    ) -> int:
        special, indices = record.specialise([None if i is None else i.dtype for i in ctx.inputs])
        domain = info.shape or ()
        args: list[int] = []
        for index in indices:
            source = node.inputs[index]
            if source is None:
                raise AssertionError(f"{ctx.op_type} asks for its omitted input {index}")
            place, axes = record.place(ctx, index, own), record.axes(ctx, index)
            if place is not None:
                args.append(self.value(source, self.info.of(source).shape or (), place, conditions))
            elif axes is None:
                args.append(self.value(source, domain, own, conditions))
            else:
                args.append(self.value(source, [domain[a] for a in axes], [own[a] for a in axes], conditions))
        return self.add(Apply(special, tuple(args), _dtype(info)))

    def _constant(self, info: TensorInfo) -> int | None:
        """A value with one known element needs no load."""
        if info.const is not None and info.const.size == 1 and info.const.dtype.kind != "c" and info.dtype is not None:
            element = info.const.reshape(-1)[0]
            number = float(element) if info.dtype.is_float else int(element)
            return self.add(Constant(number, info.dtype))
        if info.values is not None and len(info.values) == 1 and info.const is None:
            known = info.values[0]
            if isinstance(known, int):
                return self.add(Constant(known, _dtype(info)))
            place = self.add(IndexValue(self.localised(known)))
            return place if _dtype(info) is dtypes.int64 else self.add(Apply(Convert(), (place,), _dtype(info)))
        return None

    def _load(self, operand: Operand, own: Sequence[Dim], conditions: tuple[Dim, ...]) -> int:
        offset = _offset(operand, own)
        adapted = self.adapt(operand, _strides_over(offset, len(self.shape)))
        if adapted is not operand:
            operand, offset = adapted, _offset(adapted, dimension_symbols(self.shape))
        tests = tuple(self.localised(c) for c in conditions)
        return self.add(Load(self.slot_operand(operand), operand.dtype, self.localised(offset), tests))

    def _read(self, context: _Indexing, read: Read) -> int:
        source = context.node.inputs[read.input]
        if source is None:
            raise AssertionError("a Read of an omitted input")
        info = self.info.of(source)
        place = self.value(source, info.shape or (), read.index, (*context.conditions, *read.conditions))
        if not read.conditions:
            return place
        if isinstance(read.fill, Read):
            other = self._read(context, read.fill)
        else:
            other = self.add(Constant(read.fill, _dtype(info)))
        inside = []
        for condition in read.conditions:
            position = self.add(IndexValue(self.localised(condition)))
            inside.append(self.add(Apply(NotNegative(), (position,), dtypes.bool_)))
        return self.add(Apply(Choose(len(inside)), (*inside, place, other), _dtype(info)))


@dataclass
class _Indexing:
    """What ``Indexed.index`` sees of the kernel that is being built."""

    builder: PointBuilder
    node: ir.Node
    infer: InferContext
    outputs: Sequence[TensorInfo]
    conditions: tuple[Dim, ...]

    def load_index(self, input: int, index: tuple[Dim, ...], bound: Dim, *, wraps: bool = True) -> Dim:
        source = self.node.inputs[input]
        if source is None:
            raise AssertionError("an index from an omitted input")
        b = self.builder
        info = b.info.of(source)
        if info.values is not None and len(info.values) == 1:
            known = info.values[0]
            if isinstance(known, int) and isinstance(bound, int) and (-bound if wraps else 0) <= known < bound:
                return known % bound
        place = b.value(source, info.shape or (), index, self.conditions)
        tests = tuple(b.localised(c) for c in self.conditions)
        return symbol(f"v{b.add(CheckedIndex(place, b.localised(bound), tests, wraps))}")


def _own_position(info: TensorInfo, shape: Sequence[Dim], position: Sequence[Dim]) -> list[Dim]:
    """The position in a value's own dimensions, of a position in the domain that it is broadcast to.

    Where only a run can tell whether a size is 1, the position is an expression that is 0 then.
    """
    own = info.shape or ()
    missing = len(shape) - len(own)
    return [
        place if known_equal(size, wanted) else 0 if size == 1 else place * minimum(size - 1, 1)
        for size, wanted, place in zip(own, shape[missing:], position[missing:], strict=True)
    ]


def _offset(operand: Operand, position: Sequence[Dim]) -> Dim:
    offset: Dim = 0
    for stride, place in zip(operand.strides, position, strict=True):
        offset = offset + stride * place
    return offset


def _strides_over(offset: Dim, rank: int) -> tuple[Dim, ...] | None:
    strides: list[Dim] = []
    for axis in range(rank):
        parts = linear(offset, f"d{axis}")
        if parts is None:
            return None
        strides.append(parts[0])
    return tuple(strides)


def _dtype(info: TensorInfo) -> DType:
    if info.dtype is None:
        raise AssertionError("a value of unknown dtype in a native region")
    return info.dtype
