"""Models that are trained or built here and converted: one file per framework, each with a list ``CASES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """``build`` trains or builds a source, seeded, and gives it with the keyword arguments of ``convert``."""

    title: str
    build: Callable[[], tuple[Any, dict[str, Any]]]
