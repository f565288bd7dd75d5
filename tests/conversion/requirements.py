"""Which tests of conversions need packages that are not installed here."""

from __future__ import annotations

from sardonyx.conversion.recognition import all_frameworks

__all__ = ["left_out"]


def left_out() -> dict[str, list[str]]:
    """The keys of the frameworks that lack something, with what is missing."""
    missing = {framework.key: framework.missing() for framework in all_frameworks()}
    return {key: packages for key, packages in missing.items() if packages}
