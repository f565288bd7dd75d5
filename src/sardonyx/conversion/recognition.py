"""What a source is."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from sardonyx.conversion import frameworks
from sardonyx.conversion.framework import Framework
from sardonyx.conversion.source import Form, Source
from sardonyx.errors import ConversionError

__all__ = ["all_frameworks", "framework_of", "recognise"]


@cache
def all_frameworks() -> tuple[Framework, ...]:
    """Every framework in ``conversion/frameworks``, one object each, by the order of their file names."""
    found: dict[type[Framework], Framework] = {}
    for module in sorted(pkgutil.iter_modules(frameworks.__path__), key=lambda m: m.name):
        home = import_module(f"{frameworks.__name__}.{module.name}")
        for value in vars(home).values():
            if isinstance(value, type) and issubclass(value, Framework) and value.__module__ == home.__name__:
                found.setdefault(value, value())
    return tuple(found.values())


def framework_of(form: Form) -> Framework:
    """The framework that recognised a form."""
    return next(framework for framework in all_frameworks() if framework.key == form.framework)


def recognise(source: Any) -> Form:
    """What a path or a Python object is: its framework, kind and converter.

    Raises ConversionError where no framework, or more than one, knows it.
    """
    seen = source if isinstance(source, Source) else Source(source)
    forms = [form for framework in all_frameworks() if (form := framework.sees(seen)) is not None]
    if len(forms) == 1:
        return forms[0]
    if forms:
        raise ConversionError(
            f"{seen} could be each of: {', '.join(form.kind for form in forms)}; rename it to its usual suffix"
        )
    known = ", ".join(sorted(framework.title for framework in all_frameworks()))
    what = (
        "is empty"
        if seen.is_file and not seen.head
        else f"begins with {seen.head[:8]!r}"
        if seen.is_file
        else "is unknown"
    )
    raise ConversionError(f"{seen} {what}: not a model of a known kind. Known are {known}; see docs/converters.md")
