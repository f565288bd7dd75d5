"""Operator records: what the compiler knows of an operator, in one class.

A record is registered with ``@op("Name")`` and becomes a frozen dataclass whose fields are the operator's attributes.
It belongs to one of these kinds, which says how it is lowered:

- ``Elementwise``: ``compute`` builds the operation on single values; the compiler fuses it with its neighbours.
- ``View``: the outputs are other looks at the input's memory (Transpose, Reshape, Slice ...): no code where possible.
- ``Indexed``: output element i is some input element: ``index`` says which (Pad, Gather, Tile, Concat ...); fused like
  ``Elementwise``.
- ``Anchor``: has kernels of its own: ``lower`` emits the calls; pointwise consumers ride along as its epilogue.
- ``Control``: runs graphs of its own (If, Loop ...), which are compiled like the main graph.
- ``Composite`` (``ops/composite.py``): other operators together do it; ``expand`` builds them.
- plain ``Op``: only types and sizes are known; runs on the fallback.

Any of them may also say with ``hosts`` that ``host`` computes it on Python objects: numpy arrays of strings, lists
(sequences), dicts (maps), None (an absent optional). That is for values that native code cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from sardonyx.dtypes import DType
from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import PointProgram
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.lang import Value
from sardonyx.ops.contents import symbolic_contents
from sardonyx.symbols import (
    Dim,
    Expr,
    broadcast,
    known_equal,
    known_nonnegative,
    known_positive,
    maximum,
    minimum,
    symbol,
)
from sardonyx.targets import Target

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "Anchor",
    "Control",
    "Elementwise",
    "Fused",
    "IndexContext",
    "Indexed",
    "InferContext",
    "LowerContext",
    "Op",
    "Read",
    "View",
    "broadcast_shapes",
    "computable",
    "moves_elements",
]


@dataclass(frozen=True)
class InferContext:
    """What a record's ``infer`` is given.

    ``inputs`` has None for an omitted optional input; ``outputs`` is the number of outputs the node names (an unused
    optional output in the middle counts); ``fresh(hint)`` makes a new symbol for a size that depends on data.
    ``require(a, b, message)`` notes two sizes that only a run can show to be equal: the run fails with the message
    where they are not. ``define(hint, size)`` gives a size that depends on elements of tensors (``from_data``) a symbol
    of its own; ``count(hint, limit)`` makes a symbol for a size of at most ``limit`` that the node's kernels count.

    ``body(graph, inputs)`` infers a graph among the attributes and gives what is known of its
    outputs; ``inner(size)`` says whether a size depends on symbols made since this node was begun: those of a body
    mean nothing outside of it. A loop's body is inferred until its result holds for every trip: after ``patience``
    rounds the sizes, after as many more the ranks of what is carried are taken to be unknown. ``read(value)`` is the
    symbol of the integer, never negative, that an input of a body holds.
    """

    node: str
    op_type: str
    inputs: tuple[TensorInfo | None, ...]
    outputs: int
    fresh: Callable[[str], Expr]
    require: Callable[[Dim, Dim, str], None] = lambda a, b, message: None
    body: Callable[[ir.Graph, Sequence[TensorInfo]], Sequence[TensorInfo]] = lambda graph, inputs: ()
    inner: Callable[[Dim], bool] = lambda size: False
    patience: int = 0
    read: Callable[[ir.Value], Dim] = lambda value: symbol(value.name or "")
    define: Callable[[str, Dim], Dim] = lambda hint, size: size
    from_data: Callable[[Dim], bool] = lambda size: False
    count: Callable[[str, Dim], Expr] = lambda hint, limit: symbol(hint)

    def input(self, index: int) -> TensorInfo:
        """A required input."""
        info = self.inputs[index] if index < len(self.inputs) else None
        if info is None:
            self.fail(f"input {index} is required")
        return info

    def optional(self, index: int) -> TensorInfo | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def const(self, index: int) -> npt.NDArray[Any] | None:
        """The array of an input that is a constant."""
        info = self.optional(index)
        return None if info is None else info.const

    def require_equal(self, a: Dim, b: Dim, message: str) -> None:
        """Two sizes must be the same number: checked now where that can be seen, else when the model runs."""
        difference = a - b
        if difference == 0:
            return
        if known_positive(difference) or known_positive(-difference):
            self.fail(message)
        self.require(a, b, f"node {self.node!r} ({self.op_type}): {message}")

    def require_least(self, size: Dim, least: Dim, message: str) -> None:
        """``size`` must be ``least`` or more: checked now where that can be seen, else when the model runs."""
        if known_nonnegative(size - least):
            return
        self.require_equal(minimum(size - least, 0), 0, message)

    def fail(self, message: str) -> NoReturn:
        """The model is wrong here."""
        raise InvalidModelError(f"node {self.node!r} ({self.op_type}): {message}")


class Op:
    """Base of all records. Class attributes set by ``@op``: ``op_type`` and ``domain``.

    ``sized_by`` are the inputs, small integer tensors, whose contents sizes or places depend on. Where these are not
    known ahead, ``infer`` finds symbols in them that the runtime reads when the step begins. ``rank_by`` is the one of
    them that has as many elements as the output has dimensions: the rank that the model declares tells its length.
    ``any_rank`` says that ``infer`` can do with inputs of unknown rank; other records are not asked about them.
    ``length_of`` are inputs whose last size a lowering must know, beside those in ``sized_by``: index tuples, axes.
    """

    op_type: ClassVar[str] = ""
    domain: ClassVar[str] = ""
    random: ClassVar[bool] = False
    """Whether it may give another result every time: it is neither folded nor shared."""
    any_rank: ClassVar[bool] = False
    sized_by: ClassVar[tuple[int, ...]] = ()
    rank_by: ClassVar[int | None] = None
    length_of: ClassVar[tuple[int, ...]] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo] | None:
        """Types and sizes of the outputs; raises InvalidModelError through ``ctx.fail`` for inputs that cannot be.

        None says that only what the model declares is known.
        """
        raise NotImplementedError(type(self).__name__)

    def carries(self, ctx: InferContext) -> bool:
        """Whether the operator only moves its elements (or compares strings for equality), so that it works alike on
        integers that stand for strings or complex numbers."""
        return False

    def hosts(self, ctx: InferContext) -> bool:
        """Whether ``host`` computes the node where it has no lowering for these inputs."""
        return False

    def host(self, *values: Any) -> Sequence[Any]:
        """The outputs from the values of the inputs (None: omitted), all Python objects; ValueError for bad ones."""
        raise NotImplementedError(type(self).__name__)


def broadcast_shapes(ctx: InferContext, shapes: Sequence[tuple[Dim, ...] | None]) -> tuple[Dim, ...] | None:
    """The common shape of operands under multidirectional broadcasting; None where a rank is unknown."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    rank = max((len(shape) for shape in known), default=0)
    result: list[Dim] = [1] * rank
    for shape in known:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            result[axis] = _broadcast_size(ctx, known, result[axis], size)
    return tuple(result)


def _broadcast_size(ctx: InferContext, shapes: Sequence[tuple[Dim, ...]], a: Dim, b: Dim) -> Dim:
    """The common size of two; where only a run can show that they have one, that is required."""
    if a == 1 or b == 1 or known_equal(a, b):
        return broadcast(a, b)
    message = f"shapes {' and '.join(str(list(s)) for s in shapes)} do not broadcast: {a} against {b}"
    if isinstance(a, int) and isinstance(b, int):
        ctx.fail(message)
    ctx.require_equal(_differ(a, 1) * _differ(b, 1) * _differ(a, b), 0, message)
    return broadcast(a, b)


def _differ(a: Dim, b: Dim) -> Dim:
    """1 where two sizes are different, else 0."""
    return minimum(maximum(a - b, b - a), 1)


class Elementwise(Op):
    """One result per element of the broadcast inputs.

    ``cost`` is roughly the number of instructions for one element; the compiler repeats cheap ones rather than store
    their results. ``required`` inputs must be present, ``kinds`` of elements can be computed on, and the inputs
    ``same_dtype`` (None: all) must agree. Half-precision inputs arrive as float32.
    """

    cost: ClassVar[int] = 1
    required: ClassVar[int] = 1
    kinds: ClassVar[str] = "fiub"
    same_dtype: ClassVar[tuple[int, ...] | None] = None

    def compute(self, *values: Value) -> Value | tuple[Value, ...]:
        """Builds the operation; all values have the same number of lanes. See ``specialise`` for omitted inputs."""
        raise NotImplementedError(type(self).__name__)

    def specialise(self, inputs: Sequence[DType | None]) -> tuple[Elementwise, tuple[int, ...]]:
        """The record to compute with and the inputs to hand to it, given the inputs' dtypes (None: omitted).

        It differs from the record itself where ``compute`` could not tell which optional inputs are there, or in which
        dtype they are stored.
        """
        return self, tuple(index for index, dtype in enumerate(inputs) if dtype is not None)

    def axes(self, ctx: InferContext, index: int) -> tuple[int, ...] | None:
        """The output dimensions along which the dimensions of an input lie; None: the trailing ones, as broadcasting
        has it."""
        return None

    def place(self, ctx: InferContext, index: int, position: Sequence[Dim]) -> tuple[Dim, ...] | None:
        """Which element of an input an output position needs, where that is neither the same nor broadcasting or
        ``axes`` (one scale for a block of elements); None: it is one of these."""
        return None

    def symbolic(self, *values: Dim) -> Dim | None:
        """The operation on symbolic integers, for the arithmetic that exporters do on shapes; None: not expressible."""
        return None

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        """The dtypes of the outputs; the first input's unless overridden."""
        return (ctx.input(0).dtype,)

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        """Whether ``compute`` works on these input dtypes; otherwise the node runs on the fallback."""
        return all(d is None or computable(d, self.kinds) for d in inputs)

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        """The shape of the outputs: the inputs broadcast together, unless overridden."""
        return broadcast_shapes(ctx, [info.shape for info in ctx.inputs if info is not None])

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        for index in range(self.required):
            ctx.input(index)
        self._check_dtypes(ctx)
        shape, dtypes = self.result_shape(ctx), self.result_dtypes(ctx)
        values = symbolic_contents(ctx.inputs, shape, dtypes[0], self.symbolic) if len(dtypes) == 1 else None
        return tuple(TensorInfo(dtype, shape, values) for dtype in dtypes)

    def _check_dtypes(self, ctx: InferContext) -> None:
        chosen = range(len(ctx.inputs)) if self.same_dtype is None else self.same_dtype
        known = {i: info.dtype for i in chosen if (info := ctx.optional(i)) is not None and info.dtype is not None}
        if len(set(known.values())) > 1:
            ctx.fail(
                "its inputs must have one element type, got "
                + ", ".join(f"{dtype} for input {index}" for index, dtype in known.items())
            )


def moves_elements(record: Op | None, ctx: InferContext) -> bool:
    """Whether an output element of a pointwise record may need an input element of another place, so that only a loop
    nest of its own can walk its inputs."""
    if not isinstance(record, Elementwise):
        return isinstance(record, Indexed)
    rank = ctx.input(0).rank or 0
    return any(record.place(ctx, index, (0,) * rank) is not None for index in range(len(ctx.inputs)))


def computable(dtype: DType, kinds: str = "fiub") -> bool:
    """Whether the kernel language computes on a dtype, and it is of one of the ``kinds``."""
    return dtype.kind in kinds


class View(Op):
    """The outputs are strided views of input 0, where the strides allow it."""

    def carries(self, ctx: InferContext) -> bool:
        return True

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        """The outputs as views of ``source``; None where its memory order does not allow it (it is then copied first).

        A contiguous source must always work.
        """
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True)
class Read:
    """One element of an input: where every condition is at least zero, the element at ``index``, else ``fill``.

    ``fill`` is a number, or another Read whose conditions are not looked at.
    """

    input: int
    index: tuple[Dim, ...]
    conditions: tuple[Dim, ...] = ()
    fill: float | int | Read = 0


class IndexContext(Protocol):
    """What ``Indexed.index`` may ask for beside the infos."""

    infer: InferContext
    outputs: Sequence[TensorInfo]

    def load_index(self, input: int, index: tuple[Dim, ...], bound: Dim, *, wraps: bool = True) -> Dim:
        """The integer element of an input at ``index``, checked to lie in [-bound, bound) and wrapped, as a symbol;
        without ``wraps`` it must lie in [0, bound)."""


class Indexed(Op):
    """Output element i is one input element, found by ``index``."""

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, ctx: InferContext) -> bool:
        """Whether ``index`` can be given for these inputs (constants known, mode supported ...)."""
        return True

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        """The element that output 0 has at ``position`` (one expression per output dimension)."""
        raise NotImplementedError(type(self).__name__)


@dataclass
class Fused:
    """Pointwise work that an anchor takes along: an epilogue on its results, or the producers of an input.

    ``program`` is evaluated at the position in the anchor's loops (``i0, i1 ...``: one per entry of ``loops``). As an
    epilogue it takes result k of the anchor as ``Carried(k)`` and gives what is to be stored; as an input it gives the
    element. Put ``program`` into the kernel, its ``operands`` and ``sizes`` after the kernel's own in the call, and
    tell ``emit_point`` the first slots.
    """

    program: PointProgram
    operands: list[Operand] = field(default_factory=list)
    sizes: list[Dim] = field(default_factory=list)


class LowerContext(Protocol):
    """What ``Anchor.lower`` is given. ``exact_convolution`` forbids to transform convolutions."""

    target: Target
    exact_convolution: bool
    infer: InferContext
    inputs: tuple[TensorInfo | None, ...]
    outputs: tuple[TensorInfo, ...]

    def input(self, index: int) -> Operand:
        """An input as it lies in memory, with any strides."""

    def contiguous(self, index: int, order: Sequence[int] | None = None) -> Operand:
        """An input whose memory is dense in ``order`` (dimensions from outermost to innermost; None: row-major); copied
        when it is not."""

    def const(self, index: int) -> npt.NDArray[Any] | None:
        """The array of a constant input."""

    def output(self, index: int = 0, order: Sequence[int] | None = None) -> Operand:
        """Memory for an output (of the group: what the epilogue finally stores), dense in ``order``."""

    def wanted(self, index: int) -> bool:
        """Whether anybody reads an output; one that nobody does need not be computed."""

    def counter(self, size: Dim) -> Operand:
        """One int64 where a kernel puts the number that a size made by ``InferContext.count`` stands for. An output of
        such a size has memory for the most it can be; it lies at the start, row-major for the true size."""

    def order(self, index: int) -> tuple[int, ...] | None:
        """The memory order of an input, outermost dimension first; None: row-major or unknown. An op that is free to
        choose gives its output the order of its input (channels-last activations stay so)."""

    def scratch(self, dtype: DType, count: Dim) -> Operand:
        """Memory for the duration of this node's calls."""

    def copy(self, source: Operand, destination: Operand) -> None:
        """Copies between views of one shape and dtype (Concat: into the parts of its output)."""

    def prepared(
        self, dtype: DType, count: int, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: int
    ) -> Operand:
        """Memory that ``kernel`` fills once when the model is loaded, from constant ``operands`` (packed weights); the
        memory is the kernel's first buffer. Equal requests share it."""

    def constant(self, array: npt.NDArray[np.generic]) -> Operand:
        """An array computed here as a constant."""

    def key(self) -> Operand:
        """One uint64 that every run draws anew: the key of a generator of random numbers (``runtime.seeds``)."""

    def element(self, index: int, loops: Sequence[Sequence[int]]) -> Fused:
        """A program that reads one element of an input: a load, or the fused pointwise producers. ``loops`` are over
        the input's dimensions, as in ``epilogue``; the kernel may order and nest its loops as it likes."""

    def epilogue(self, loops: Sequence[Sequence[int]]) -> Fused:
        """The pointwise work to apply, for an anchor whose loop nest runs over ``loops``: each names the output
        dimensions it covers, flattened (``[[0, 1], [2]]``: the first two in one loop); the last one is vectorised."""

    def call(
        self, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: Dim, work: Dim = 0
    ) -> None:
        """Runs a kernel: ``operands`` fill its buffer slots in order (each slot points at the view's first element),
        ``sizes`` its i64 arguments, ``tasks`` is its number of parallel tasks; ``work`` is roughly the number of
        floating-point operations of the whole call (few: it stays on the calling thread)."""


class Anchor(Op):
    """An operator with kernels of its own."""

    def lowers(self, ctx: InferContext) -> bool:
        """Whether ``lower`` covers these inputs; otherwise the node runs on the fallback."""
        return True

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        """The loop nest an epilogue would run in (see ``LowerContext.epilogue``); None: this anchor takes none."""
        return None

    def prologue(self, ctx: InferContext) -> int | None:
        """The input that ``lower`` reads through ``LowerContext.element`` only, so that its pointwise producers can be
        computed as it is read; None: all inputs are read from memory."""
        return None

    def lower(self, ctx: LowerContext) -> None:
        """Emits the kernel calls that compute the outputs."""
        raise NotImplementedError(type(self).__name__)


class Control(Op):
    """An operator that runs graphs among its attributes. ``runtime.control`` has a step for each."""

    any_rank: ClassVar[bool] = True

    def bodies(self) -> tuple[ir.Graph, ...]:
        """The graphs, in the order in which the step takes them."""
        raise NotImplementedError(type(self).__name__)

    def settings(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> dict[str, Any]:
        """The further arguments of the step, as JSON data."""
        return {}
