"""Which axes of a call's tensors may have another size in the next call."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sardonyx.conversion.frameworks._torch.calls import Flat
from sardonyx.conversion.frameworks._torch.places import place_of
from sardonyx.errors import ConversionError

__all__ = ["BATCH", "Axes", "fixed_batch", "open_axes"]

BATCH = "batch"
_MOST_GUESSES = 32


@dataclass
class Axes:
    """``names`` of each tensor's open axes, and the example ``tensors``, of which no open axis has size 1: exporters
    take that for a size of its own. ``notes`` say what could not be opened."""

    tensors: list[torch.Tensor]
    names: list[dict[int, str]]
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """The example's sizes by the axes' names."""
        pairs = zip(self.tensors, self.names, strict=True)
        return {name: tensor.shape[axis] for tensor, names in pairs for axis, name in names.items()}

    def with_size(self, name: str, size: int) -> Axes:
        """The same axes, the named one ``size`` long: the example's rows again and again."""
        resized = []
        for tensor, names in zip(self.tensors, self.names, strict=True):
            for axis in (a for a, n in names.items() if n == name):
                tensor = tensor.index_select(axis, torch.arange(size) % tensor.shape[axis])
            resized.append(tensor)
        return replace(self, tensors=resized)


def open_axes(
    flat: Flat, names: Sequence[str], tensors: Sequence[torch.Tensor], dynamic: bool, wanted: Mapping[str, Any]
) -> Axes:
    """The axes that ``wanted`` names (by input: axis to name), and with ``dynamic`` the batch: axis 0 of every tensor
    that has the first one's size there. Where the module cannot be called with another batch on those axes, others of
    that size are tried (an LSTM's states hold the batch in axis 1); where no choice runs, the batch stays."""
    chosen = _wanted(names, tensors, wanted)
    axes = Axes(list(tensors), chosen)
    _check_sizes(names, axes)
    for name, size in axes.sizes.items():
        axes = axes if size > 1 else axes.with_size(name, 2)
    if not dynamic or any(BATCH in given.values() for given in chosen):
        return axes
    first = next((i for i, t in enumerate(tensors) if t.ndim and 0 not in chosen[i]), None)
    if first is None or tensors[first].shape[0] == 0:
        return axes
    size = tensors[first].shape[0]
    problem: Exception | None = None
    for guess in itertools.islice(_guesses(tensors, chosen, first), _MOST_GUESSES):
        tried = replace(axes, names=guess).with_size(BATCH, _unused(tensors, size + 1))
        try:
            flat(*tried.tensors)
        except Exception as error:  # whatever a module says to a batch of another size
            problem = problem or error
        else:
            return tried
    assert problem is not None
    return replace(axes, notes=[f"the batch stays {size}: with another one the model fails, {place_of(problem)}"])


def fixed_batch(axes: Axes, tensors: Sequence[torch.Tensor], reason: str) -> Axes:
    """The same without an open batch, of the example's own size."""
    names = [{a: n for a, n in given.items() if n != BATCH} for given in axes.names]
    return Axes(list(tensors), names, [*axes.notes, reason])


def _guesses(
    tensors: Sequence[torch.Tensor], chosen: Sequence[Mapping[int, str]], first: int
) -> Iterator[list[dict[int, str]]]:
    size = tensors[first].shape[0]
    options: list[list[int | None]] = []
    for index, tensor in enumerate(tensors):
        same = [a for a in range(tensor.ndim) if tensor.shape[a] == size and a not in chosen[index]]
        options.append([0] if index == first else [*same, None])
    for guess in itertools.product(*options):
        yield [{**names} if axis is None else {axis: BATCH, **names} for axis, names in zip(guess, chosen, strict=True)]


def _unused(tensors: Sequence[torch.Tensor], at_least: int) -> int:
    """A size that no axis has: a coincidence would be taken for a rule."""
    taken = {size for tensor in tensors for size in tensor.shape}
    return next(size for size in itertools.count(at_least) if size not in taken)


def _wanted(names: Sequence[str], tensors: Sequence[torch.Tensor], wanted: Mapping[str, Any]) -> list[dict[int, str]]:
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise ConversionError(f"dynamic_axes names {', '.join(unknown)}; the inputs are {', '.join(names)}")
    return [_axes_of(name, tensor, wanted.get(name, {})) for name, tensor in zip(names, tensors, strict=True)]


def _axes_of(name: str, tensor: torch.Tensor, given: Any) -> dict[int, str]:
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given) if isinstance(given, list | tuple) else ()
    found = {}
    for axis, title in pairs:
        if title is None:
            continue
        if not isinstance(axis, int) or not isinstance(title, str) or not -tensor.ndim <= axis < tensor.ndim:
            raise ConversionError(
                f"dynamic_axes of {name}: expected axes of a rank-{tensor.ndim} tensor with their names, such as "
                f"{{'{name}': {{1: 'sequence'}}}}; got {given!r}"
            )
        found[axis % tensor.ndim] = title
    if given and not found:
        raise ConversionError(f"dynamic_axes of {name}: expected {{axis: name}}, got {given!r}")
    return found


def _check_sizes(names: Sequence[str], axes: Axes) -> None:
    sizes = axes.sizes
    for name, tensor, given in zip(names, axes.tensors, axes.names, strict=True):
        for axis, title in given.items():
            if tensor.shape[axis] != sizes[title]:
                raise ConversionError(
                    f"dynamic_axes call axis {axis} of {name} {title!r}, of size {tensor.shape[axis]} in the example; "
                    f"another axis of that name has {sizes[title]}"
                )
