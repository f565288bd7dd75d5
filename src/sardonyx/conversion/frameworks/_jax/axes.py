"""Which axes of a call's arrays may have another size in the next call."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sardonyx.conversion.frameworks._jax.calls import Call
from sardonyx.errors import ConversionError

__all__ = ["BATCH", "Axes", "open_axes"]

BATCH = "batch"


@dataclass
class Axes:
    """``names`` of each input's open axes; ``outputs`` are the shapes of the results, open axes as names. ``notes``
    say what could not be opened."""

    names: list[dict[int, str]]
    outputs: list[tuple[int | str, ...]]
    notes: list[str] = field(default_factory=list)

    def shape(self, index: int, array: Any) -> tuple[int | str, ...]:
        """An input's shape, open axes as names."""
        return tuple(self.names[index].get(axis, size) for axis, size in enumerate(array.shape))


def open_axes(call: Call, dynamic: bool, wanted: Mapping[str, Any]) -> Axes:
    """The axes that ``wanted`` names and, with ``dynamic``, the batch: axis 0 of every input that has the same size
    there, of the first size with which the function can be called otherwise and that then shows in a result."""
    chosen = _wanted(call, wanted)
    if dynamic and not any(BATCH in names.values() for names in chosen):
        for strict in (True, False):
            for group in _groups(call, chosen):
                names = [{0: BATCH, **given} if index in group else dict(given) for index, given in enumerate(chosen)]
                found = _tried(call, names)
                if found is not None and (not strict or any(shape[:1] == (BATCH,) for shape in found)):
                    return Axes(names, found)
    found = _tried(call, chosen)
    if found is None:
        raise ConversionError(f"the function cannot be called with other sizes on the axes of {dict(wanted)!r}")
    notes = ["the batch stays as in the example: the function cannot be called with another one"] if dynamic else []
    return Axes(chosen, found, notes)


def fixed_axes(call: Call, reason: str) -> Axes:
    """No axis open."""
    return Axes([{} for _ in call.arrays], [tuple(s) for s in call.shapes([a.shape for a in call.arrays])], [reason])


def _groups(call: Call, chosen: list[dict[int, str]]) -> Iterator[frozenset[int]]:
    """Sets of inputs that might share the batch: all with one size, then those of a single argument."""
    free = [i for i, a in enumerate(call.arrays) if a.ndim and a.shape[0] and 0 not in chosen[i]]
    tried = set()
    for first in free:
        same = [i for i in free if call.arrays[i].shape[0] == call.arrays[first].shape[0]]
        for group in (frozenset(same), frozenset(i for i in same if call.owners[i] == call.owners[first])):
            if group not in tried:
                tried.add(group)
                yield group


def _tried(call: Call, names: list[dict[int, str]]) -> list[tuple[int | str, ...]] | None:
    """The results' shapes with open axes, found from two calls of sizes that nothing else has; None where the function
    does not run with them."""
    taken = {size for array in call.arrays for size in array.shape}
    free = (size for size in itertools.count(2) if size not in taken)
    titles = dict.fromkeys(name for given in names for name in given.values())
    sizes = [{title: next(free) for title in titles} for _ in range(2)]
    shapes = []
    for chosen in sizes:
        given = [
            tuple(chosen[names[i][axis]] if axis in names[i] else size for axis, size in enumerate(array.shape))
            for i, array in enumerate(call.arrays)
        ]
        try:
            shapes.append(call.shapes(given))
        except Exception:  # whatever a function raises for sizes that it was not made for
            return None
    by_size = {(sizes[0][title], sizes[1][title]): title for title in titles}
    found: list[tuple[int | str, ...]] = []
    for output, pair in zip(call.outputs, zip(*shapes, strict=True), strict=True):
        if len(pair[0]) != len(pair[1]):
            return None
        found.append(
            tuple(
                a if a == b else by_size.get((a, b), f"{output}_dim{axis}")
                for axis, (a, b) in enumerate(zip(*pair, strict=True))
            )
        )
    return found


def _wanted(call: Call, wanted: Mapping[str, Any]) -> list[dict[int, str]]:
    unknown = sorted(set(wanted) - set(call.names))
    if unknown:
        raise ConversionError(f"dynamic_axes names {', '.join(unknown)}; the inputs are {', '.join(call.names)}")
    found = []
    for name, array in zip(call.names, call.arrays, strict=True):
        given = wanted.get(name, {})
        if not isinstance(given, Mapping) or not all(
            isinstance(axis, int) and isinstance(title, str) and -array.ndim <= axis < array.ndim
            for axis, title in given.items()
        ):
            raise ConversionError(f"dynamic_axes of {name}: expected {{axis: name}}, got {given!r}")
        found.append({axis % array.ndim: title for axis, title in given.items()})
    return found
