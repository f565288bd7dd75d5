"""How often a step fits between two places: Slice and Range."""

from __future__ import annotations

from sardonyx.ops.base import InferContext
from sardonyx.symbols import Dim, ceildiv, maximum, minimum

__all__ = ["is_positive", "magnitude", "steps_between"]


def is_positive(number: Dim) -> Dim:
    """1 where a number is above 0, else 0."""
    return minimum(maximum(number, 0), 1)


def magnitude(number: Dim) -> Dim:
    """A number without its sign."""
    return maximum(number, -number)


def steps_between(ctx: InferContext, first: Dim, last: Dim, step: Dim, name: str) -> Dim:
    """The number of places ``first, first + step ...`` before ``last``; fails for a step (``name``) of 0."""
    if isinstance(step, int):
        if step == 0:
            ctx.fail(f"{name} is 0")
        return maximum(ceildiv(last - first, step) if step > 0 else ceildiv(first - last, -step), 0)
    ctx.require_least(magnitude(step), 1, f"{name} is 0")
    forward, size = is_positive(step), maximum(magnitude(step), 1)
    up, down = (ctx.define("span", maximum(span, 0)) for span in (last - first, first - last))
    span = ctx.define("span", forward * up + (1 - forward) * down)
    return ceildiv(span, ctx.define("step", size))
