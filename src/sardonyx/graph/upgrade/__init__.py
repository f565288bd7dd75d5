"""Older opsets brought to the newest semantics, one node at a time, while a graph is built."""

from sardonyx.graph.upgrade import (  # noqa: F401 (each registers its steps)
    arguments,
    broadcast,
    features,
    layers,
    numbers,
    text,
    vectors,
    windows,
)
from sardonyx.graph.upgrade.compatible import COMPATIBLE
from sardonyx.graph.upgrade.registry import CannotUpgrade, is_current, steps, upgrade, upgrade_node

__all__ = ["COMPATIBLE", "CannotUpgrade", "is_current", "steps", "upgrade", "upgrade_node"]
