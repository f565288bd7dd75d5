"""Non-maximum suppression: the best boxes of which no two overlap much."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.kernels.compact import merge_sort, size_of
from sardonyx.lang import BOOL, F32, KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim

__all__ = ["SelectBoxes", "StoreBoxes"]


@dataclass(frozen=True)
class SelectBoxes:
    """The boxes that each class of each image keeps, at most ``most`` of them, best first.

        for task in [begin, end):                      # one class of one image
            candidates = boxes whose score is above the threshold, sorted by score (of equals the first one first)
            for each candidate: keep it unless it overlaps a box that is kept already

    Buffers: 0 boxes [images, boxes, 4], 1 scores [images, classes, boxes], 2 kept [task, most], 3 how many [task],
    4 scratch of twice ``boxes`` int64 a task, then the thresholds that are there (float32): of overlap, of score.
    """

    classes: Dim
    boxes: Dim
    most: Dim
    centered: bool
    overlap: bool
    score: bool

    @property
    def name(self) -> str:
        return "select_boxes"

    def emit(self, b: KernelBuilder) -> None:
        classes, count, most = (size_of(b, dim) for dim in (self.classes, self.boxes, self.most))
        numbers = [b.buffer(slot, dtypes.int64) for slot in (2, 3, 4)]
        overlap = b.buffer(5, dtypes.float32).load() if self.overlap else b.const(0.0, F32)
        with b.tasks() as task:
            boxes = b.buffer(0, dtypes.float32).at(b.index_div(task, classes) * count * 4)
            scores = b.buffer(1, dtypes.float32).at(task * count)
            kept, found = numbers[0].at(task * most), b.var(b.i64(0))
            order, total = self._candidates(b, scores, numbers[2].at(task * count * 2), count)
            place = b.var(b.i64(0))
            with b.while_(lambda: (place.get() < total) & (found.get() < most)):
                box = order.load(place.get())
                free, other = b.var(b.const(True, BOOL)), b.var(b.i64(0))
                with b.while_(lambda: (other.get() < found.get()) & free.get()):
                    near = self._overlaps(b, boxes, box, kept.load(other.get()), overlap)
                    free.set(b.not_(near))
                    other.set(other.get() + 1)
                with b.if_(free.get()):
                    kept.store(box, found.get())
                    found.set(found.get() + 1)
                place.set(place.get() + 1)
            numbers[1].store(found.get(), task)

    def _candidates(self, b: KernelBuilder, scores: Pointer, memory: Pointer, count: Value) -> tuple[Pointer, Value]:
        total = b.var(b.i64(0))
        with b.loop(count) as box:
            if self.score:
                threshold = b.buffer(6 if self.overlap else 5, dtypes.float32).load()
                with b.if_(scores.load(box) > threshold):
                    memory.store(box, total.get())
                    total.set(total.get() + 1)
            else:
                memory.store(box, box)
        number = total.get() if self.score else count
        return merge_sort(b, memory, number, lambda x, y: b.not_(scores.load(y) > scores.load(x))), number

    def _overlaps(self, b: KernelBuilder, boxes: Pointer, one: Value, other: Value, limit: Value) -> Value:
        """Whether the common area of two boxes is more than ``limit`` of the area that they cover together."""
        ranges = [self._ranges(b, boxes.at(box * 4)) for box in (one, other)]
        sides = [
            b.minimum(first[1], second[1]) - b.maximum(first[0], second[0])
            for first, second in zip(*ranges, strict=True)
        ]
        common = sides[0] * sides[1]
        areas = [(x[1] - x[0]) * (y[1] - y[0]) for x, y in ranges]
        union = areas[0] + areas[1] - common
        sound = (sides[0] > 0) & (sides[1] > 0) & (areas[0] > 0) & (areas[1] > 0) & (union > 0)
        return sound & (common / union > limit)

    def _ranges(self, b: KernelBuilder, box: Pointer) -> list[tuple[Value, Value]]:
        """Where a box begins and ends along both axes."""
        numbers = [box.load(place) for place in range(4)]
        if self.centered:
            halves = [size * 0.5 for size in numbers[2:]]
            return [(middle - half, middle + half) for middle, half in zip(numbers, halves, strict=False)]
        return [(b.minimum(x, y), b.maximum(x, y)) for x, y in zip(numbers[:2], numbers[2:], strict=True)]


@dataclass(frozen=True)
class StoreBoxes:
    """The kept boxes as rows (image, class, box), task after task.

    Buffers: 0 kept [task, most], 1 each task's first row, 2 the number of all rows, 3 rows; ``count`` is the number of
    all tasks.
    """

    classes: Dim
    most: Dim
    count: Dim

    @property
    def name(self) -> str:
        return "store_boxes"

    def emit(self, b: KernelBuilder) -> None:
        kept, starts, total, rows = (b.buffer(slot, dtypes.int64) for slot in range(4))
        classes, most, count = (size_of(b, dim) for dim in (self.classes, self.most, self.count))
        with b.tasks() as task:
            start, end = starts.load(task), b.var(total.load())
            with b.if_(task + 1 < count):
                end.set(starts.load(task + 1))
            with b.loop(end.get() - start) as k:
                row = rows.at((start + k) * 3)
                for column, number in enumerate(
                    (b.index_div(task, classes), b.index_rem(task, classes), kept.load(task * most + k))
                ):
                    row.store(number, column)
