"""Tests of frameworks that are not installed are not collected; ``make test-converters`` installs and runs them all."""

from __future__ import annotations

from conversion.requirements import left_out

collect_ignore = [f"frameworks/test_{key}.py" for key in left_out()]
