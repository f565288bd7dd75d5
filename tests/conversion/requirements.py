"""Which tests of conversions need packages that are not installed here."""

from __future__ import annotations

import importlib.util

from sardonyx.conversion.recognition import all_frameworks

__all__ = ["left_out"]


def left_out() -> dict[str, list[str]]:
    """The keys of the frameworks whose packages are missing, with those packages as pip calls them."""
    missing = {
        framework.key: [pip for name, pip in framework.packages.items() if importlib.util.find_spec(name) is None]
        for framework in all_frameworks()
    }
    return {key: packages for key, packages in missing.items() if packages}
