"""Loop nests for anchors that reduce some dimensions of an input: which of them form a loop, which is vectorised.

The loops follow the memory order of the input, so that channels-last activations are walked as they lie; neighbours
that every operand walks with one stride are one loop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part
from sardonyx.kernels.point import Carried, Load, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.ops.base import Fused, LowerContext
from sardonyx.symbols import Dim, known_equal, linear, product, substitute, symbol

__all__ = ["CallPlan", "Loops", "aligned_strides", "identity_epilogue", "strided_element"]

SHORT = 8
"""A vectorised loop known to be shorter than this wastes lanes; another one may do better even with gathered loads."""


@dataclass
class CallPlan:
    """Collects one kernel call: its operands, and its i64 arguments as slots.

    All ``slot`` and ``offset`` requests must come before the first ``part``, whose own arguments follow.
    """

    operands: list[Operand] = field(default_factory=list)
    slots: Slots = field(default_factory=Slots)
    fused_sizes: list[Dim] = field(default_factory=list)
    _own: int = -1

    def buffer(self, operand: Operand) -> int:
        self.operands.append(operand)
        return len(self.operands) - 1

    def slot(self, dim: Dim) -> Dim:
        return self.slots.add(dim)

    def offset(self, steps: Sequence[Dim]) -> Dim:
        """An offset in elements over the loops ``i0, i1 ...``, given the step of each."""
        result: Dim = 0
        for loop, step in enumerate(steps):
            result = result + symbol(f"i{loop}") * self.slot(step)
        return result

    def store(self, operand: Operand, steps: Sequence[Dim]) -> Store:
        """Where a result goes, given the operand's step along each loop."""
        return Store(self.buffer(operand), operand.dtype, self.offset(steps))

    def part(self, fused: Fused, index: Sequence[Dim] = ()) -> Part:
        """A fused program as a part of the kernel; ``index`` over the nest's loops, see ``Part``."""
        self._own = len(self.slots.sizes)
        part = Part(fused.program, len(self.operands), self._own + len(self.fused_sizes), tuple(index))
        self.operands += fused.operands
        self.fused_sizes += fused.sizes
        return part

    def call(self, ctx: LowerContext, kernel: Kernel, tasks: Dim, work: Dim) -> None:
        """Emits the call; ``tasks`` is in the kernel's own slots."""
        if self._own not in (-1, len(self.slots.sizes)):
            raise AssertionError("a slot was added after the first part")
        ctx.call(kernel, self.operands, [*self.slots.sizes, *self.fused_sizes], self.slots.resolve(tasks), work)


def identity_epilogue(dtype: DType) -> Fused:
    """The program that stores an anchor's result as it is."""
    return Fused(PointProgram((Carried(0, dtype),), (0,)))


def strided_element(operand: Operand, strides: Sequence[Dim]) -> Fused:
    """The program that reads an element of memory at a position of loops, given its step along each."""
    slots = Slots()
    offset: Dim = 0
    for loop, stride in enumerate(strides):
        offset = offset + symbol(f"i{loop}") * slots.add(stride)
    return Fused(PointProgram((Load(0, operand.dtype, offset),), (0,), 1, len(slots.sizes)), [operand], slots.sizes)


def aligned_strides(operand: Operand, shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """An operand's strides over the trailing dimensions of ``shape``, 0 where it is broadcast."""
    missing = len(shape) - operand.rank
    own = (stride if size != 1 else 0 for size, stride in zip(operand.shape, operand.strides, strict=True))
    return (*[0] * missing, *own)


@dataclass(frozen=True)
class Loops:
    """The loops over an input: the dimensions that each covers, whether it is reduced, and which one is vectorised.

    ``element`` reads one element at a position of the loops; ``order`` is the memory order they follow.
    """

    shape: tuple[Dim, ...]
    order: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    reduced: tuple[int, ...]
    vector: int
    element: Fused

    @staticmethod
    def plan(
        ctx: LowerContext,
        index: int,
        axes: Collection[int],
        beside: Sequence[Sequence[Dim]] = (),
        alone: Collection[int] = (),
    ) -> Loops:
        """The loops that read input ``index`` and reduce ``axes``.

        ``beside`` holds the strides, per dimension of the input, of operands that are read along with it; dimensions in
        ``alone`` are never joined with others.
        """
        info = ctx.inputs[index]
        shape = info.shape if info is not None and info.shape is not None else ()
        order = ctx.order(index) or tuple(range(len(shape)))
        steps = _steps(ctx.element(index, [[axis] for axis in order]), len(order))
        by_axis = {axis: [*(load[k] for load in steps), *(b[axis] for b in beside)] for k, axis in enumerate(order)}
        groups: list[list[int]] = []
        for axis in order:
            parted = axis in alone or (groups and groups[-1][-1] in alone)
            if groups and not parted and _joins(shape, by_axis, groups[-1], axis, axes):
                groups[-1].append(axis)
            else:
                groups.append([axis])
        groups = groups or [[]]
        element = ctx.element(index, groups)
        reduced = tuple(k for k, group in enumerate(groups) if _is_reduced(shape, group, axes))
        extents = [product(shape[axis] for axis in group) for group in groups]
        vector = _vectorised(_steps(element, len(groups)), extents, reduced)
        return Loops(shape, order, tuple(tuple(g) for g in groups), reduced, vector, element)

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.groups)) if k not in self.reduced)

    @property
    def extents(self) -> tuple[Dim, ...]:
        return tuple(product(self.shape[axis] for axis in group) for group in self.groups)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    def nest(self, plan: CallPlan, chunk: int = 0, chunked: int = -1) -> Nest:
        """The nest of a kernel with its extents in slots."""
        return Nest(tuple(plan.slot(extent) for extent in self.extents), self.reduced, self.vector, chunk, chunked)

    def stride(self, strides: Sequence[Dim], loop: int) -> Dim:
        """The step of one loop in memory with a stride per dimension of the input."""
        walked = [axis for axis in self.groups[loop] if self.shape[axis] != 1]
        return strides[walked[-1]] if walked else 0

    def steps(self, strides: Sequence[Dim]) -> list[Dim]:
        """The step of every loop, see ``stride``."""
        return [self.stride(strides, loop) for loop in range(len(self.groups))]

    def order_of(self, axes: Collection[int], keepdims: bool) -> tuple[int, ...]:
        """The memory order of a result from which ``axes`` are removed, or kept with size 1."""
        if keepdims:
            return self.order
        left = [axis for axis in self.order if axis not in axes]
        return tuple(sorted(left).index(axis) for axis in left)

    def aligned(self, operand: Operand) -> Fused:
        """The program that reads an operand broadcast to the input's shape, over the loops."""
        return strided_element(operand, self.steps(aligned_strides(operand, self.shape)))

    def result_loops(self, axes: Collection[int], keepdims: bool) -> tuple[list[list[int]], list[Dim]]:
        """The kept loops over the dimensions of a result without ``axes`` (or with size 1), and their positions."""
        place = {axis: k for k, axis in enumerate(a for a in range(len(self.shape)) if keepdims or a not in axes)}
        loops = [[place[axis] for axis in self.groups[k] if axis in place] for k in self.kept]
        return (loops, [symbol(f"i{k}") for k in self.kept]) if loops else ([[]], [0])

    def result_strides(self, operand: Operand, axes: Collection[int], keepdims: bool) -> list[Dim]:
        """The strides of a result without ``axes`` per dimension of the input; 0 where it is reduced."""
        strides = iter(operand.strides)
        result: list[Dim] = []
        for axis in range(len(self.shape)):
            step = next(strides) if keepdims or axis not in axes else 0
            result.append(0 if axis in axes else step)
        return result


def _is_reduced(shape: Sequence[Dim], group: Sequence[int], axes: Collection[int]) -> bool:
    """Dimensions of size 1 may be in any loop: they count only where a loop has no other."""
    telling = [axis for axis in group if shape[axis] != 1]
    return bool(telling) and telling[0] in axes


def _joins(
    shape: Sequence[Dim], steps: dict[int, list[Dim | None]], group: list[int], axis: int, axes: Collection[int]
) -> bool:
    """Whether a dimension continues the loop of those before it."""
    telling = [a for a in group if shape[a] != 1]
    if shape[axis] == 1 or not telling:
        return True
    if (telling[0] in axes) != (axis in axes):
        return False
    last = telling[-1]
    return all(
        outer is not None and inner is not None and known_equal(outer, inner * shape[axis])
        for outer, inner in zip(steps[last], steps[axis], strict=True)
    )


def _steps(fused: Fused, loops: int) -> list[list[Dim | None]]:
    """For each load of a program its stride along each loop; None where there is no single one."""
    sizes = {f"s{k}": size for k, size in enumerate(fused.sizes)}
    result: list[list[Dim | None]] = []
    for instruction in fused.program.instructions:
        offset = getattr(instruction, "offset", None)
        if offset is None:
            continue
        pairs = [linear(offset, f"i{loop}") for loop in range(loops)]
        steps: list[Dim | None] = [None if pair is None else substitute(pair[0], sizes) for pair in pairs]
        result.append(steps if isinstance(instruction, Load) else [step if step == 0 else None for step in steps])
    return result


def _vectorised(steps: list[list[Dim | None]], extents: Sequence[Dim], reduced: Sequence[int]) -> int:
    """The loop along which most loads are of adjacent elements; the innermost of equals."""

    def score(loop: int) -> tuple[int, int, int]:
        units = sum(load[loop] == 1 for load in steps)
        others = sum(load[loop] not in (0, 1) for load in steps)
        return (extents[loop] != 1, units - others, loop)

    best = max(range(len(extents)), key=score)
    size = extents[best]
    if best in reduced and isinstance(size, int) and size < SHORT:
        longer = [k for k in range(len(extents)) if k not in reduced and not _shorter(extents[k], 2 * SHORT)]
        return longer[-1] if longer else best
    return best


def _shorter(size: Dim, limit: int) -> bool:
    return isinstance(size, int) and size < limit
