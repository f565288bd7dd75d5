"""NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.suppression import SelectBoxes, StoreBoxes
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.data_dependent import offsets_of
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import Dim, maximum, minimum

__all__ = ["NonMaxSuppression"]


@op("NonMaxSuppression")
class NonMaxSuppression(Anchor):
    """Rows (image, class, box) of boxes that overlap no better one of their class, best first.

    Input 0 has boxes [images, boxes, 4], 1 scores [images, classes, boxes]; input 2 is how many boxes a class may keep
    (none without it), 3 the part of their union that two boxes may share (0), 4 what a score must be above (anything).
    Boxes are two opposite corners, or centre and size where ``center_point_box`` is 1. Of equal scores the box with the
    lower number comes first. As in ONNX Runtime, a box without area overlaps nothing.
    """

    sized_by = (2,)
    center_point_box: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        boxes, scores = ctx.input(0).shape or (), ctx.input(1).shape or ()
        if len(boxes) != 3 or len(scores) != 3:
            ctx.fail(f"boxes and scores must have rank 3, got shapes {list(boxes)} and {list(scores)}")
        if self.center_point_box not in (0, 1):
            ctx.fail(f"center_point_box must be 0 or 1, got {self.center_point_box}")
        message = f"boxes of shape {list(boxes)} and scores of shape {list(scores)} do not belong together"
        for a, b in ((boxes[0], scores[0]), (boxes[1], scores[2]), (boxes[2], 4)):
            ctx.require_equal(a, b, message)
        for index, what in ((2, "number of boxes"), (3, "overlap"), (4, "score")):
            shape = None if (given := ctx.optional(index)) is None else given.shape
            if shape and shape != (1,):
                ctx.fail(f"the limit of the {what} must be one number, got shape {list(shape)}")
        most = self._most(ctx)
        limit = boxes[0] * scores[1] * (boxes[1] if most is None else most)
        return (TensorInfo(dtypes.int64, (ctx.count("boxes", limit), 3)),)

    def _most(self, ctx: InferContext) -> Dim | None:
        """How many boxes a class keeps at most; None where nothing is known of that."""
        if ctx.optional(2) is None:
            return 0
        given = scalar_integer(ctx, 2)
        boxes = (ctx.input(0).shape or (0, 0))[1]
        return None if given is None else ctx.define("most", minimum(maximum(given, 0), boxes))

    def lowers(self, ctx: InferContext) -> bool:
        numbers = [ctx.optional(index) for index in (0, 1, 3, 4)]
        return self._most(ctx) is not None and all(i is None or i.dtype is dtypes.float32 for i in numbers)

    def lower(self, ctx: LowerContext) -> None:
        boxes, scores, slots = ctx.contiguous(0), ctx.contiguous(1), Slots()
        total, target = ctx.counter((ctx.outputs[0].shape or ())[0]), ctx.output()
        most: Dim = self._most(ctx.infer) or 0
        images, classes, count = scores.shape
        tasks = images * classes
        kept = ctx.scratch(dtypes.int64, tasks * most)
        found, scratch = ctx.scratch(dtypes.int64, tasks), ctx.scratch(dtypes.int64, tasks * count * 2)
        limits = [index for index in (3, 4) if ctx.infer.optional(index) is not None]
        kernel = SelectBoxes(
            slots.add(classes),
            slots.add(count),
            slots.add(most),
            centered=bool(self.center_point_box),
            overlap=3 in limits,
            score=4 in limits,
        )
        operands = [boxes, scores, kept, found, scratch, *(ctx.input(index) for index in limits)]
        ctx.call(kernel, operands, slots.sizes, tasks, tasks * count * (most + 32) * 4)
        offsets_of(ctx, found, tasks, total)
        slots = Slots()
        store = StoreBoxes(slots.add(classes), slots.add(most), slots.add(tasks))
        ctx.call(store, [kept, found, total, target], slots.sizes, tasks, tasks * most)
