"""What RNN, GRU and LSTM share: sizes, the product of all inputs, the call of the recurrent kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.gemm_tile import TileShape
from sardonyx.kernels.pack import Pack
from sardonyx.kernels.point import Carried, PointOp, PointProgram, compute_dtype
from sardonyx.kernels.recurrent import Recurrence
from sardonyx.kernels.recurrent_cell import Cell
from sardonyx.kernels.recurrent_inputs import MOST_INPUTS, VECTORS, Access, InputProducts, input_rows
from sardonyx.kernels.recurrent_pack import Panels, RecurrentPack
from sardonyx.kernels.recurrent_step import GROUP
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, Fused, InferContext, LowerContext
from sardonyx.ops.product import Matrix, lower_product
from sardonyx.ops.recurrent.activations import activations
from sardonyx.symbols import Dim, maximum, minimum, symbol

__all__ = ["Recurrent"]

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)

X, W, R, B, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLES = range(8)
"""The inputs' places."""


@dataclass(frozen=True)
class Recurrent(Anchor):
    """A recurrent layer over the sequences of a batch.

    Inputs: x [steps, batch, size], W [directions, gates * hidden, size], R [directions, gates * hidden, hidden],
    B [directions, 2 * gates * hidden], sequence lengths [batch], initial_h [directions, batch, hidden]. Outputs:
    y [steps, directions, batch, hidden], y_h [directions, batch, hidden]. With ``layout`` 1 the batch comes first in x,
    y and the states. A row's sequence ends at its length: y is zero from there on, the reverse direction begins there,
    and the final state of a sequence without steps is zero (as in ONNX Runtime).
    """

    activation_alpha: tuple[float, ...] | None = None
    activation_beta: tuple[float, ...] | None = None
    activations: tuple[str, ...] | None = None
    clip: float | None = None
    direction: str = "forward"
    hidden_size: int | None = None
    layout: int = 0

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    default_activations: ClassVar[tuple[str, ...]]

    def cell(self, functions: tuple[PointOp, ...], ctx: InferContext) -> Cell:
        """The cell of one direction, given its activations."""
        raise NotImplementedError(type(self).__name__)

    def names(self, directions: int) -> tuple[str, ...]:
        """The activations of all directions."""
        return self.default_activations * directions if self.activations is None else self.activations

    # -- inference -----------------------------------------------------------------------------------------------

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, _, r = ctx.input(X), ctx.input(W), ctx.input(R)
        self._check_attributes(ctx)
        self._check_dtypes(ctx)
        directions, hidden = len(_DIRECTIONS[self.direction]), self._hidden(ctx, r)
        if x.shape is None or hidden is None:
            return [TensorInfo(x.dtype)] * (1 + self.states)
        if len(x.shape) != 3:
            ctx.fail(f"x must have 3 dimensions, got shape {list(x.shape)}")
        steps, batch, size = self._sequence_first(x.shape)
        self._check_shapes(ctx, directions, hidden, batch, size)
        state: tuple[Dim, ...] = (directions, batch, hidden)
        y: tuple[Dim, ...] = (steps, *state)
        if self.layout:
            y, state = (batch, steps, directions, hidden), (batch, directions, hidden)
        return [TensorInfo(x.dtype, y), *[TensorInfo(x.dtype, state)] * self.states]

    def _sequence_first(self, shape: Sequence[Dim]) -> tuple[Dim, Dim, Dim]:
        first, second, size = shape
        return (second, first, size) if self.layout else (first, second, size)

    def _check_attributes(self, ctx: InferContext) -> None:
        if self.direction not in _DIRECTIONS:
            ctx.fail(f"attribute 'direction' must be one of {', '.join(_DIRECTIONS)}, got {self.direction!r}")
        if self.layout not in (0, 1):
            ctx.fail(f"attribute 'layout' must be 0 or 1, got {self.layout}")
        if self.hidden_size is not None and self.hidden_size < 1:
            ctx.fail(f"attribute 'hidden_size' must be positive, got {self.hidden_size}")
        if self.clip is not None and not self.clip >= 0:
            ctx.fail(f"attribute 'clip' must not be negative, got {self.clip}")
        self._functions(ctx)

    def _functions(self, ctx: InferContext) -> tuple[PointOp, ...]:
        directions = len(_DIRECTIONS[self.direction])
        names, wanted = self.names(directions), len(self.default_activations) * directions
        if len(names) != wanted:
            ctx.fail(f"attribute 'activations' must name {wanted} functions, got {len(names)}")
        return activations(ctx, names, self.activation_alpha or (), self.activation_beta or ())

    def _check_dtypes(self, ctx: InferContext) -> None:
        numbers = [i for k, info in enumerate(ctx.inputs) if k != LENGTHS and (i := info) is not None]
        known = {str(info.dtype) for info in numbers if info.dtype is not None}
        if len(known) > 1:
            ctx.fail(f"its inputs must have one element type, got {', '.join(sorted(known))}")
        lengths = ctx.optional(LENGTHS)
        if lengths is not None and lengths.dtype not in (None, dtypes.int32):
            ctx.fail(f"sequence lengths must be int32, got {lengths.dtype}")

    def _hidden(self, ctx: InferContext, r: TensorInfo) -> Dim | None:
        if r.shape is not None and len(r.shape) != 3:
            ctx.fail(f"R must have 3 dimensions, got shape {list(r.shape)}")
        if self.hidden_size is not None:
            return self.hidden_size
        return None if r.shape is None else r.shape[2]

    def _check_shapes(self, ctx: InferContext, directions: int, hidden: Dim, batch: Dim, size: Dim) -> None:
        state = (batch, directions, hidden) if self.layout else (directions, batch, hidden)
        expected: dict[int, tuple[str, tuple[Dim, ...]]] = {
            W: ("W", (directions, self.gates * hidden, size)),
            R: ("R", (directions, self.gates * hidden, hidden)),
            B: ("B", (directions, 2 * self.gates * hidden)),
            LENGTHS: ("sequence_lens", (batch,)),
            INITIAL_H: ("initial_h", state),
            INITIAL_C: ("initial_c", state),
            PEEPHOLES: ("P", (directions, 3 * hidden)),
        }
        for index, (name, shape) in expected.items():
            info = ctx.optional(index)
            if info is None or info.shape is None:
                continue
            message = f"{name} must have shape {list(shape)}, got {list(info.shape)}"
            if len(info.shape) != len(shape):
                ctx.fail(message)
            for own, wanted in zip(info.shape, shape, strict=True):
                ctx.require_equal(own, wanted, message)

    # -- lowering ------------------------------------------------------------------------------------------------

    def lowers(self, ctx: InferContext) -> bool:
        hidden = self._hidden(ctx, ctx.input(R))
        shapes = all(info is None or info.shape is not None for info in ctx.inputs)
        return shapes and ctx.input(X).dtype in _FLOATS and isinstance(hidden, int) and hidden > 0

    def lower(self, ctx: LowerContext) -> None:
        _Call(self, ctx).emit()


class _Call:
    """The kernel calls of one layer."""

    def __init__(self, record: Recurrent, ctx: LowerContext) -> None:
        self.record = record
        self.ctx = ctx
        self.reverse = _DIRECTIONS[record.direction]
        x, hidden = ctx.infer.input(X), record._hidden(ctx.infer, ctx.infer.input(R))
        assert x.dtype is not None
        assert x.shape is not None
        assert isinstance(hidden, int)
        self.dtype, self.sums, self.hidden = x.dtype, compute_dtype(x.dtype), hidden
        self.steps, self.batch, _ = record._sequence_first(x.shape)
        functions = record._functions(ctx.infer)
        each = len(functions) // len(self.reverse)
        parts = [functions[k : k + each] for k in range(0, len(functions), each)]
        self.cells = tuple(record.cell(part, ctx.infer) for part in parts)
        self.panels = Panels(hidden, self.cells[0].phases, ctx.target.lanes(self.sums.itemsize))
        self.slots = Slots()
        self.operands: list[Operand] = []

    def emit(self) -> None:
        ctx, record = self.ctx, self.record
        inputs = self.beside()
        projection = None if inputs is not None and self.batch == 1 else self.projection(inputs is not None)
        weights = self.place(self.packed())
        optional = [self.vector(index) for index in (B, PEEPHOLES)]
        lengths = None if ctx.infer.optional(LENGTHS) is None else self.place(ctx.contiguous(LENGTHS))
        initial = [self.initial(index) for index in (INITIAL_H, INITIAL_C)]
        outputs = [self.sequence(), *(self.final(index) for index in (1, 2))]
        kernel = Recurrence(
            cells=self.cells,
            reverse=self.reverse,
            panels=self.panels,
            steps=self.slots.add(self.steps),
            batch=self.slots.add(self.batch),
            dtype=self.sums,
            projection=projection,
            inputs=inputs,
            weights=weights,
            scratch=len(self.operands),
            bias=optional[0],
            peepholes=optional[1],
            lengths=lengths,
            initial_h=initial[0],
            initial_c=initial[1],
            y=outputs[0],
            y_h=outputs[1],
            y_c=outputs[2],
        )
        self.place(ctx.scratch(self.sums, kernel.scratch_size(ctx.target, self.batch)))
        work = self.steps * self.batch * (2 * len(self.reverse) * record.gates * self.hidden * self.hidden)
        ctx.call(kernel, self.operands, self.slots.sizes, kernel.tasks(ctx.target, self.batch), work)

    def place(self, operand: Operand) -> int:
        """The kernel's buffer slot of an operand."""
        self.operands.append(operand)
        return len(self.operands) - 1

    def access(self, operand: Operand, time: int | None, direction: int | None, row: int | None) -> Access:
        """An operand, given the dimensions that are times, directions and rows; units are the last."""
        steps = [0 if axis is None else self.slots.add(operand.strides[axis]) for axis in (time, direction, row)]
        return Access(self.place(operand), operand.dtype, *steps)

    # -- inputs --------------------------------------------------------------------------------------------------

    def projection(self, of_many: bool) -> Access:
        """The products of all inputs with W, for both directions at once; rows in the order they have in memory.

        ``of_many``: a batch of 1 needs none.
        """
        ctx, columns = self.ctx, len(self.reverse) * self.record.gates * self.hidden
        order, x = self._rows()
        weights = Matrix(ctx.contiguous(W), (), (2,), (0, 1))
        if of_many:
            shape = list(x.operand.shape)
            shape[order[0]] *= minimum(maximum(self.batch - 1, 0), 1)
            x = replace(x, operand=replace(x.operand, shape=tuple(shape)))
        sizes = [x.operand.shape[axis] for axis in order]
        result = replace(ctx.scratch(self.sums, sizes[0] * sizes[1] * columns), shape=(*sizes, columns))
        result = replace(result, strides=row_major(result.shape))
        product = Matrix(result, (), (0, 1), (2,))
        plain = Fused(PointProgram((Carried(0, self.sums),), (0,)))
        lower_product(ctx, x, weights, (), product, self.dtype, plain, constant_b=ctx.const(W) is not None)
        time = order.index(1 if self.record.layout else 0)
        steps = [self.slots.add(result.strides[axis]) for axis in (time, 1 - time)]
        return Access(self.place(result), self.sums, steps[0], self.record.gates * self.hidden, steps[1])

    def beside(self) -> InputProducts | None:
        """How the products of a single row's inputs are made beside the recurrent ones, where that pays.

        Those leave the multiply-adds idle half of the time, and long sequences have steps to make the others in.
        """
        ctx, size = self.ctx, self.record._sequence_first(self.ctx.infer.input(X).shape or (0, 0, 0))[2]
        gates = max(len(phase.gates) for phase in self.panels.phases)
        rows = input_rows(ctx.target, GROUP * gates)
        many = isinstance(self.batch, int) and self.batch != 1
        short = isinstance(self.steps, int) and self.steps < 2 * rows
        if not rows or many or short or self.panels.vectors < GROUP or ctx.const(W) is None:
            return None
        if not isinstance(size, int) or not 0 < size <= MOST_INPUTS * self.hidden:
            return None
        source = ctx.input(X) if ctx.input(X).strides[2] == 1 else ctx.contiguous(X)
        x = self.access(source, 1 if self.record.layout else 0, None, None)
        inputs = InputProducts(x, len(self.operands), size, self.record.gates * self.hidden, rows, self.panels.lanes)
        self.place(self._packed_inputs(inputs))
        return inputs

    def _packed_inputs(self, inputs: InputProducts) -> Operand:
        """W in panels, direction after direction.

        Where no panel is padded, it is made just as for ``projection``, so that the two share the memory.
        """
        ctx, directions, weights = self.ctx, len(self.reverse), self.ctx.contiguous(W)
        shape = TileShape(inputs.rows, VECTORS, inputs.lanes)
        padded = inputs.width != inputs.columns
        columns = inputs.columns if padded else directions * inputs.columns
        offset = symbol("i0") * weights.strides[0] if padded else 0
        pack = Pack.of(shape, inputs.size, columns, weights.dtype, self.sums, (1, weights.strides[1]), offset)
        tasks = directions * inputs.panels
        return ctx.prepared(self.sums, directions * inputs.packed, pack, [weights], [], tasks)

    def _rows(self) -> tuple[tuple[int, int], Matrix]:
        """x as a matrix, and which of its first two dimensions is the outer one of its rows."""
        for order in ((0, 1), (1, 0)):
            matrix = Matrix(self.ctx.input(X), (), order, (2,))
            if matrix.row_stride() is not None and matrix.column_stride() == 1:
                return order, matrix
        return (0, 1), Matrix(self.ctx.contiguous(X), (), (0, 1), (2,))

    def packed(self) -> Operand:
        """R in panels: made when the model is loaded where it is constant."""
        ctx, slots = self.ctx, Slots()
        source = ctx.contiguous(R)
        direction, row = (slots.add(step) for step in source.strides[:2])
        pack = RecurrentPack(self.panels, source.dtype, self.sums, direction, row)
        tasks, size = len(self.reverse) * self.panels.vectors, len(self.reverse) * self.panels.size
        if ctx.const(R) is not None:
            return ctx.prepared(self.sums, size, pack, [source], slots.sizes, tasks)
        target = ctx.scratch(self.sums, size)
        ctx.call(pack, [target, source], slots.sizes, tasks, size)
        return target

    def vector(self, index: int) -> Access | None:
        """An optional input [directions, ...]."""
        if self.ctx.infer.optional(index) is None:
            return None
        return self.access(self.ctx.contiguous(index), None, 0, None)

    def initial(self, index: int) -> Access | None:
        """An optional initial state."""
        if self.ctx.infer.optional(index) is None:
            return None
        direction, row = (1, 0) if self.record.layout else (0, 1)
        return self.access(self.ctx.contiguous(index), None, direction, row)

    # -- outputs -------------------------------------------------------------------------------------------------

    def sequence(self) -> Access | None:
        """y, with directions side by side, as what follows mostly wants them, and in the order of x."""
        ctx = self.ctx
        if not ctx.wanted(0):
            return None
        if self.record.layout:
            return self.access(ctx.output(0), 1, 2, 0)
        batch_first = self._rows()[0] == (1, 0)
        return self.access(ctx.output(0, (2, 0, 1, 3) if batch_first else (0, 2, 1, 3)), 0, 1, 2)

    def final(self, index: int) -> Access | None:
        """A final state."""
        if not self.ctx.wanted(index):
            return None
        direction, row = (1, 0) if self.record.layout else (0, 1)
        return self.access(self.ctx.output(index), None, direction, row)
