"""Control flow: operators that run graphs of their own. The steps that run them are in ``runtime.control``.

A body sees the values around it; its own inputs are what the operator hands to it. What is known of a body's outputs
is known of the operator's, except that sizes which the body makes up, or which change from trip to trip, become new
symbols outside: the arrays themselves will tell them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import ElementInfo, TensorInfo
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Control, Elementwise, Indexed, InferContext, View
from sardonyx.ops.contents import contents
from sardonyx.ops.joining import join
from sardonyx.ops.registry import op, record
from sardonyx.symbols import Dim, maximum

__all__ = ["If", "Loop", "Scan", "exported", "truth"]


def truth(info: TensorInfo | None) -> bool | None:
    """The value of a condition, where it is known."""
    if info is None:
        return None
    if info.const is not None and info.const.size == 1:
        return bool(info.const.reshape(-1)[0])
    known = contents(info)
    return bool(known[0]) if known is not None and len(known) == 1 and isinstance(known[0], int) else None


def exported(ctx: InferContext, info: TensorInfo) -> TensorInfo:
    """What a body knows of a value, in terms that hold outside: without the body's own symbols."""
    if info.sequence is not None:
        return TensorInfo(sequence=_exported_element(ctx, info.sequence))
    if info.optional is not None:
        return TensorInfo(optional=_exported_element(ctx, info.optional))
    if info.shape is None:
        return info
    shape = tuple(ctx.fresh("size") if ctx.inner(size) else size for size in info.shape)
    values = info.values
    if values is not None and any(ctx.inner(value) for value in values):
        values = None
    return replace(info, shape=shape, values=values)


def _exported_element(ctx: InferContext, element: ElementInfo) -> ElementInfo:
    if element.sequence is not None:
        return ElementInfo(sequence=_exported_element(ctx, element.sequence))
    if element.shape is None:
        return element
    return replace(element, shape=tuple(None if d is None or ctx.inner(d) else d for d in element.shape))


def check_condition(ctx: InferContext, info: TensorInfo | None) -> None:
    """Fails for a condition that cannot be one bool."""
    if info is None:
        return
    if info.dtype not in (None, dtypes.bool_) or info.is_container:
        ctx.fail(f"the condition must be a bool, got {info.dtype or 'a sequence or optional'}")
    if any(isinstance(size, int) and size != 1 for size in info.shape or ()):
        ctx.fail(f"the condition must have one element, got shape {list(info.shape or ())}")


@op("If")
class If(Control):
    """The outputs of one of two graphs, chosen by a bool."""

    then_branch: ir.Graph
    else_branch: ir.Graph

    def bodies(self) -> tuple[ir.Graph, ...]:
        return self.then_branch, self.else_branch

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        condition = ctx.input(0)
        check_condition(ctx, condition)
        for graph, name in ((self.then_branch, "then_branch"), (self.else_branch, "else_branch")):
            if len(graph.inputs) or len(graph.outputs) < ctx.outputs:
                ctx.fail(
                    f"{name} must have no inputs and {ctx.outputs} outputs, got {len(graph.inputs)} and "
                    f"{len(graph.outputs)}"
                )
        chosen = truth(condition)
        if chosen is not None:  # the other one may be wrong for sizes that never come
            taken = ctx.body(self.then_branch if chosen else self.else_branch, ())
            return [exported(ctx, info) for info in taken[: ctx.outputs]]
        pairs = list(zip(ctx.body(self.then_branch, ()), ctx.body(self.else_branch, ()), strict=False))[: ctx.outputs]
        for place, (a, b) in enumerate(pairs):
            if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
                ctx.fail(f"output {place} is {a.dtype} by then_branch and {b.dtype} by else_branch")
        return [exported(ctx, join(a, b, lambda x, y: ctx.fresh("size"))) for a, b in pairs]


class _Carried:
    """What is known of the values that a loop hands from trip to trip: widened until the body changes nothing of it."""

    def __init__(self, ctx: InferContext, infos: Sequence[TensorInfo]) -> None:
        self.ctx = ctx
        self.infos = list(infos)
        self._widened: set[Dim] = set()

    def settle(
        self, graph: ir.Graph, before: Sequence[TensorInfo], after: Sequence[TensorInfo], skip: int
    ) -> list[Any]:
        """Infers the body, whose inputs are ``before``, the carried values and ``after``, until they hold for every
        trip; gives what is known of all outputs, of which ``skip`` come before the carried ones."""
        patience = self.ctx.patience
        for attempt in range(2 * patience + 1):
            if attempt == 2 * patience:
                self.infos = [_type_only(info) for info in self.infos]
            elif attempt == patience or patience == 1:
                self.infos = [self._rank_only(info) for info in self.infos]
            outputs = list(self.ctx.body(graph, [*before, *self.infos, *after]))
            joined = [
                self._joined(place, old, new)
                for place, (old, new) in enumerate(zip(self.infos, outputs[skip:], strict=False))
            ]
            if all(map(_same, joined, self.infos)):
                break
            self.infos = joined
        return outputs

    def _joined(self, place: int, old: TensorInfo, new: TensorInfo) -> TensorInfo:
        if old.dtype is not None and new.dtype is not None and old.dtype != new.dtype:
            self.ctx.fail(f"carried value {place} is {old.dtype} at first, but {new.dtype} after a trip")
        if new.is_container:  # what the elements of one trip have in common need not hold for the next
            new = exported(self.ctx, new)
        return join(old, new, self._widen)

    def _widen(self, old: Dim, new: Dim) -> Dim:
        if old in self._widened:
            return old
        size = self.ctx.fresh("carried")
        self._widened.add(size)
        return size

    def _rank_only(self, info: TensorInfo) -> TensorInfo:
        if info.shape is None:
            return _type_only(info)
        return TensorInfo(info.dtype, tuple(self._widen(size, 0) for size in info.shape))


def _same(a: TensorInfo, b: TensorInfo) -> bool:
    return a is b or (a.const is b.const and a == b)


def _type_only(info: TensorInfo) -> TensorInfo:
    """What no body can change of a value."""
    return TensorInfo(
        info.dtype,
        sequence=info.sequence and ElementInfo(info.sequence.dtype, sequence=info.sequence.sequence),
        optional=info.optional and ElementInfo(info.optional.dtype, sequence=info.optional.sequence),
    )


def _scalar_port(graph: ir.Graph, place: int, dtype: dtypes.DType, values: tuple[Dim, ...] | None) -> TensorInfo:
    """An input of a body that has one element: a scalar, or a vector of one where the body says so."""
    return TensorInfo(dtype, (1,) if scalar_rank(graph, place) else (), values)


def scalar_rank(graph: ir.Graph, place: int) -> int:
    """The rank, 0 or 1, that a body declares for an input of one element."""
    shape = graph.inputs[place].shape
    return 1 if shape is not None and len(shape) == 1 else 0


def places_depend_on(value: ir.Value) -> bool:
    """Whether sizes or places of some operator follow from a value: then it is worth to follow it as a symbol."""
    waiting, seen = [value], {value}
    while waiting:
        for node, index in waiting.pop().uses():
            cls = record(node.op_type, node.domain)
            if cls is not None and index in cls.sized_by:
                return True
            if cls is not None and issubclass(cls, Elementwise | View | Indexed):
                waiting += [made for made in node.outputs if made not in seen]
                seen.update(node.outputs)
    return False


def _stacked(ctx: InferContext, info: TensorInfo, count: Dim, axis: int = 0) -> TensorInfo:
    """A scan output: what each trip gives, stacked along ``axis``. A size that no input of the node tells directly
    becomes a symbol of its own, because without any trip the runtime could not tell it."""
    if info.is_container:
        ctx.fail("a scan output must be a tensor, got a sequence or an optional")
    if info.shape is None:
        return TensorInfo(info.dtype)
    told = {size for given in ctx.inputs if given is not None for size in given.shape or ()}
    shape = [size if isinstance(size, int) or size in told else ctx.fresh("size") for size in info.shape]
    place = axis_of(ctx, axis, len(shape) + 1)
    return TensorInfo(info.dtype, (*shape[:place], count, *shape[place:]))


def _empty_shapes(ctx: InferContext, outputs: Sequence[TensorInfo], axes: Sequence[int]) -> list[Any]:
    """For each scan output, its dtype and where each size comes from when there is no trip: a number, or the input and
    axis that tell it. None for an unknown rank."""
    found: list[Any] = []
    for info, axis in zip(outputs, axes, strict=True):
        name = None if info.dtype is None else info.dtype.name
        if info.shape is None:
            found.append([name, None])
            continue
        place = axis % len(info.shape)
        found.append([name, [_source(ctx, d) for k, d in enumerate(info.shape) if k != place]])
    return found


def _source(ctx: InferContext, size: Dim) -> Any:
    if isinstance(size, int):
        return size
    for index, info in enumerate(ctx.inputs):
        for axis, told in enumerate((info.shape if info is not None else None) or ()):
            if told == size:
                return [index, axis]
    return 0


@op("Loop")
class Loop(Control):
    """Runs ``body`` for up to M trips (input 0, if given) while a condition (input 1, if given) holds.

    The body takes the trip's number, the condition and the carried values, and gives the condition for the next trip,
    the carried values and what is to be stacked. The outputs are the last carried values and the stacks.
    """

    body: ir.Graph

    def bodies(self) -> tuple[ir.Graph, ...]:
        return (self.body,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        count = max(len(ctx.inputs) - 2, 0)
        self._check(ctx, count)
        limit, condition = ctx.optional(0), ctx.optional(1)
        initial = [TensorInfo() if info is None else info for info in ctx.inputs[2:]]
        carried = _Carried(ctx, initial)
        # a trip begins only where the condition holds
        number = (ctx.read(self.body.inputs[0]),) if places_depend_on(self.body.inputs[0]) else None
        ports = [_scalar_port(self.body, 0, dtypes.int64, number), _scalar_port(self.body, 1, dtypes.bool_, (1,))]
        outputs = carried.settle(self.body, ports, (), skip=1)
        check_condition(ctx, outputs[0])
        always = (condition is None or truth(condition) is True) and truth(outputs[0]) is True
        known = contents(limit)
        trips: Dim = maximum(known[0], 0) if always and known else ctx.fresh("trips")
        finals = [exported(ctx, info) for info in carried.infos]
        stacks = [_stacked(ctx, info, trips) for info in outputs[1 + count :]]
        return [*finals, *stacks][: ctx.outputs]

    def _check(self, ctx: InferContext, count: int) -> None:
        body = self.body
        if len(body.inputs) != count + 2:
            ctx.fail(f"with {count} carried values the body must have {count + 2} inputs, got {len(body.inputs)}")
        needed = 1 + max(count, ctx.outputs)
        if len(body.outputs) != needed:
            ctx.fail(f"the node has {ctx.outputs} outputs, so the body must have {needed}, got {len(body.outputs)}")
        limit = ctx.optional(0)
        if limit is not None and limit.dtype not in (None, dtypes.int64):
            ctx.fail(f"the number of trips must be int64, got {limit.dtype}")
        if limit is not None and any(isinstance(size, int) and size != 1 for size in limit.shape or ()):
            ctx.fail(f"the number of trips must have one element, got shape {list(limit.shape or ())}")
        check_condition(ctx, ctx.optional(1))

    def settings(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> dict[str, Any]:
        count = max(len(ctx.inputs) - 2, 0)
        stacks = outputs[count:]
        return {
            "carried": count,
            "ranks": [scalar_rank(self.body, 0), scalar_rank(self.body, 1)],
            "stacks": _empty_shapes(ctx, stacks, [0] * len(stacks)),
        }


@op("Scan")
class Scan(Control):
    """Runs ``body`` for every slice of the scan inputs.

    The body takes the states and one slice of each scan input, and gives the next states and one slice of each scan
    output. The outputs are the last states and the stacked slices. Directions are 0 (forward) or 1 (backward).
    """

    body: ir.Graph
    num_scan_inputs: int
    scan_input_axes: tuple[int, ...] | None = None
    scan_input_directions: tuple[int, ...] | None = None
    scan_output_axes: tuple[int, ...] | None = None
    scan_output_directions: tuple[int, ...] | None = None

    def bodies(self) -> tuple[ir.Graph, ...]:
        return (self.body,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        scanned = self.num_scan_inputs
        states = len(ctx.inputs) - scanned
        if scanned < 1 or states < 0:
            ctx.fail(f"num_scan_inputs is {scanned}; expected 1 to {len(ctx.inputs)}, the number of inputs")
        if len(self.body.inputs) != len(ctx.inputs) or len(self.body.outputs) != ctx.outputs or ctx.outputs < states:
            ctx.fail(
                f"the body must have {len(ctx.inputs)} inputs and {ctx.outputs} outputs, at least one for each of "
                f"{states} states, got {len(self.body.inputs)} and {len(self.body.outputs)}"
            )
        for name, numbers, count in (
            ("scan_input_axes", self.scan_input_axes, scanned),
            ("scan_input_directions", self.scan_input_directions, scanned),
            ("scan_output_axes", self.scan_output_axes, ctx.outputs - states),
            ("scan_output_directions", self.scan_output_directions, ctx.outputs - states),
        ):
            if numbers is not None and len(numbers) != count:
                ctx.fail(f"{name} must have {count} entries, got {list(numbers)}")
        slices, trips = self._slices(ctx, states)
        carried = _Carried(ctx, [ctx.input(index) for index in range(states)])
        outputs = carried.settle(self.body, (), slices, skip=0)
        finals = [exported(ctx, info) for info in carried.infos]
        stacks = [
            _stacked(ctx, info, trips, axis)
            for info, axis in zip(outputs[states:], self._axes(ctx.outputs - states), strict=True)
        ]
        return [*finals, *stacks]

    def _slices(self, ctx: InferContext, states: int) -> tuple[list[TensorInfo], Dim]:
        """What is known of one slice of each scan input, and the number of trips."""
        slices: list[TensorInfo] = []
        trips: Dim | None = None
        axes = self.scan_input_axes or (0,) * self.num_scan_inputs
        for index, given in enumerate(axes):
            info = ctx.input(states + index)
            if info.shape is None:
                slices.append(TensorInfo(info.dtype))
                continue
            axis = axis_of(ctx, given, len(info.shape))
            size = info.shape[axis]
            if trips is None:
                trips = size
            else:
                ctx.require_equal(trips, size, f"scan inputs have {trips} and {size} slices; expected as many")
            slices.append(TensorInfo(info.dtype, info.shape[:axis] + info.shape[axis + 1 :]))
        return slices, ctx.fresh("trips") if trips is None else trips

    def _axes(self, count: int) -> tuple[int, ...]:
        return self.scan_output_axes or (0,) * count

    def settings(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> dict[str, Any]:
        scanned = self.num_scan_inputs
        states = len(ctx.inputs) - scanned
        stacks = outputs[states:]
        axes = self._axes(len(stacks))
        return {
            "states": states,
            "input_axes": list(self.scan_input_axes or (0,) * scanned),
            "input_directions": list(self.scan_input_directions or (0,) * scanned),
            "output_axes": list(axes),
            "output_directions": list(self.scan_output_directions or (0,) * len(stacks)),
            "stacks": _empty_shapes(ctx, stacks, axes),
        }
