"""Sizes of a call as arguments of its kernel."""

from __future__ import annotations

from sardonyx.symbols import Dim, substitute, symbol

__all__ = ["Slots"]


class Slots:
    """Hands out i64 argument slots for symbolic sizes; constants stay in the kernel's description.

    ``sizes`` is what the call must pass, slot by slot.
    """

    def __init__(self) -> None:
        self.sizes: list[Dim] = []

    def add(self, dim: Dim) -> Dim:
        """The size as the kernel sees it: the int itself, or ``s<k>``; equal sizes share a slot."""
        if isinstance(dim, int):
            return dim
        if dim not in self.sizes:
            self.sizes.append(dim)
        return symbol(f"s{self.sizes.index(dim)}")

    def argument(self, dim: Dim) -> Dim:
        """A slot of its own even for a constant: calls that differ only in it share a kernel."""
        self.sizes.append(dim)
        return symbol(f"s{len(self.sizes) - 1}")

    def resolve(self, dim: Dim) -> Dim:
        """The call's side of an expression of slots: each ``s<k>`` replaced by its size."""
        return substitute(dim, {f"s{k}": size for k, size in enumerate(self.sizes)})
