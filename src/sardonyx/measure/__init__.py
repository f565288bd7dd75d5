"""Measuring: engines in turns on one machine, latency percentiles, and what the machine can do at most."""

from sardonyx.measure.peak import fp32_peak
from sardonyx.measure.turns import Timing, take_turns

__all__ = ["Timing", "fp32_peak", "take_turns"]
