"""Models that are trained or built here and converted: one file per framework, each with a list ``CASES``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """``build`` trains or builds a source, seeded, and gives it with the keyword arguments of ``convert``. ``heavy``
    cases are the table's only; the tests run the others. ``needs`` are packages beyond the framework's own."""

    title: str
    build: Callable[[], tuple[Any, dict[str, Any]]]
    heavy: bool = False
    needs: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(name) is not None for name in self.needs)
