"""Exporters that today's Python cannot load run in a Python of their own.

``pythons`` finds an interpreter of the version that they need, ``environment`` makes and keeps a virtual environment
with pinned packages, ``worker`` runs a script of ``scripts`` in it and asks it to export and to evaluate the source.
"""

from __future__ import annotations

from sardonyx.conversion.isolated.environment import Environment, Installed
from sardonyx.conversion.isolated.worker import Worker

__all__ = ["Environment", "Installed", "Worker"]
