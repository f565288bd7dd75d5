"""CropAndResize: parts of images, all brought to one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__: list[str] = []


@dataclass(frozen=True)
class _Side:
    """One direction of the crops: where each row (or column) lies in its image, of shape (crops, size), whether that is
    inside of it, and the image's last row."""

    places: ir.Value
    inside: ir.Value
    last: ir.Value


_Pixels = Callable[[ir.Value, ir.Value], ir.Value]


@op("CropAndResize", MICROSOFT)
class CropAndResize(Composite):
    """Part r of image batch_indices[r], resized to (channels, crop height, crop width).

    Inputs: images (batch, channels, height, width), parts (crops, 4) as y1, x1, y2, x2 in units of the last row and
    column, batch_indices (crops), crop size (2). What lies outside of an image is ``extrapolation_value``.
    """

    inputs = (4, 4)
    extrapolation_value: float = 0.0
    mode: str = "bilinear"

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        if self.mode not in ("bilinear", "nearest"):
            b.fail(f"attribute 'mode' must be bilinear or nearest, got {self.mode!r}")
        images = b.transpose(b.of_rank(0, 4), 0, 2, 3, 1)
        numbers = b.unsqueeze(b.cast(b.of_rank(2, 1), dtypes.int64), 1, 2)
        rows, columns = self._side(b, 0), self._side(b, 1)

        def pixels(y: ir.Value, x: ir.Value) -> ir.Value:
            """The pixels (crops, height, width, channels) at whole places."""
            parts = [numbers, b.unsqueeze(y, 2), b.unsqueeze(x, 1)]
            shape = b.op("Shape", b.op("Add", parts[1], parts[2]))
            indices = [b.unsqueeze(b.op("Expand", part, shape), 3) for part in parts]
            return b.op("GatherND", images, b.op("Concat", *indices, axis=3))

        if self.mode == "nearest":
            half = b.number(0.5, images)
            y, x = (self._whole(b, side, b.op("Floor", b.op("Add", side.places, half))) for side in (rows, columns))
            result = pixels(y, x)
        else:
            result = self._interpolated(b, rows, columns, pixels)
        inside = b.unsqueeze(b.op("And", b.unsqueeze(rows.inside, 2), b.unsqueeze(columns.inside, 1)), 3)
        outside = b.number(self.extrapolation_value, images)
        return (b.transpose(b.op("Where", inside, result, outside), 0, 3, 1, 2),)

    @staticmethod
    def _side(b: Builder, axis: int) -> _Side:
        images, parts, crop = b.input(0), b.of_rank(1, 2), b.of_rank(3, 1)
        dtype = b.dtype(images)
        last = b.op("Sub", b.size(images, 2 + axis), b.ints(1))
        length = b.cast(last, dtype)
        first, end = (b.slice(parts, 1, place, place + 1) for place in (axis, axis + 2))
        size = b.op("Squeeze", b.slice(crop, 0, axis, axis + 1), b.ints(0))
        one = b.number(1, dtypes.int32)
        steps = b.cast(b.op("Range", b.number(0, dtypes.int32), size, one), dtype)
        intervals = b.cast(b.op("Max", b.op("Sub", size, one), one), dtype)
        step = b.op("Div", b.op("Mul", b.op("Sub", end, first), length), intervals)
        several = b.op("Add", b.op("Mul", first, length), b.op("Mul", steps, step))
        middle = b.op("Mul", b.op("Mul", b.op("Add", first, end), b.number(0.5, dtype)), length)
        places = b.op("Where", b.op("Greater", size, one), several, middle)
        least = b.op("GreaterOrEqual", places, b.number(0, dtype))
        return _Side(places, b.op("And", least, b.op("LessOrEqual", places, length)), last)

    @staticmethod
    def _whole(b: Builder, side: _Side, place: ir.Value) -> ir.Value:
        """A place as an index that is one of the image's."""
        index = b.op("Max", b.cast(place, dtypes.int64), b.ints(0))
        return b.op("Min", index, side.last)

    def _interpolated(self, b: Builder, rows: _Side, columns: _Side, pixels: _Pixels) -> ir.Value:
        floors = [b.op("Floor", side.places) for side in (rows, columns)]
        top, left = (self._whole(b, side, floor) for side, floor in zip((rows, columns), floors, strict=True))
        bottom, right = (
            b.op("Min", b.op("Add", place, b.ints(1)), side.last) for place, side in ((top, rows), (left, columns))
        )
        down, along = (b.op("Sub", side.places, floor) for side, floor in zip((rows, columns), floors, strict=True))

        def between(a: ir.Value, c: ir.Value, part: ir.Value) -> ir.Value:
            return b.op("Add", a, b.op("Mul", b.op("Sub", c, a), part))

        x = b.unsqueeze(along, 1, 3)
        upper, lower = (between(pixels(y, left), pixels(y, right), x) for y in (top, bottom))
        return between(upper, lower, b.unsqueeze(down, 2, 3))
