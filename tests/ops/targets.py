"""The targets whose code runs on this machine."""

from __future__ import annotations

from sardonyx.lang.host import host_target
from sardonyx.targets import AVX2, AVX512, BASELINE, Target

__all__ = ["TARGETS"]

_HOST = host_target()


def _runs(target: Target) -> bool:
    features = set(target.features.split(","))
    return target.triple[:6] == _HOST.triple[:6] and features <= set(_HOST.features.split(","))


TARGETS = [*(target for target in (BASELINE, AVX2, AVX512) if _runs(target)), _HOST]
"""This machine's own, and those of older processors that it can stand in for."""
