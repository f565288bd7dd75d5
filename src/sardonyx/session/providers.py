"""Which execution providers a session is asked for, in ONNX Runtime's forms. There is one here: the processor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from sardonyx.options import CPU_PROVIDER

__all__ = ["chosen_providers", "get_all_providers", "get_available_providers"]

Providers = Sequence[str | tuple[str, Mapping[str, Any]]] | None


def get_available_providers() -> list[str]:
    """The execution providers of this build."""
    return [CPU_PROVIDER]


def get_all_providers() -> list[str]:
    """The execution providers that there are, by priority."""
    return [CPU_PROVIDER]


def chosen_providers(
    providers: Providers, options: Sequence[Mapping[str, Any]] | None, fall_back: bool
) -> dict[str, dict[str, str]]:
    """The providers in use and their options, from names, pairs of a name and options, or names and ``options``.

    A provider that is not available is left out with a warning. Raises ValueError for arguments of another form;
    with ``fall_back`` that is a warning too and the processor is used, as in ONNX Runtime.
    """
    try:
        names = _names(providers, options)
    except ValueError as error:
        if not fall_back:
            raise
        warnings.warn(f"{error}; falling back to {CPU_PROVIDER}", UserWarning, stacklevel=4)
        names = []
    for name in dict.fromkeys(names):
        if name != CPU_PROVIDER:
            warnings.warn(
                f"Specified provider {name!r} is not in available provider names and is left out. "
                f"Available providers: {CPU_PROVIDER!r}",
                UserWarning,
                stacklevel=4,
            )
        if names.count(name) > 1:
            warnings.warn(f"Duplicate provider {name!r} encountered, ignoring.", UserWarning, stacklevel=4)
    return {CPU_PROVIDER: {}}  # it has no options of its own: others are accepted and have no effect, as there


def _names(providers: Providers, options: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if providers is None:
        return []
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise ValueError("'providers' should be a sequence")
    if options is not None:
        if not isinstance(options, Sequence):
            raise ValueError("'provider_options' should be a sequence")
        if len(providers) != len(options):
            raise ValueError("'providers' and 'provider_options' should be the same length if both are given")
        if not all(isinstance(item, str) for item in providers):
            raise ValueError("only names for 'providers' are supported if 'provider_options' is given")
        if not all(isinstance(item, Mapping) for item in options):
            raise ValueError("'provider_options' values must be dicts")
    names = []
    for item in providers:
        match item:
            case str():
                names.append(item)
            case (str() as name, Mapping()):
                names.append(name)
            case _:
                raise ValueError("'providers' values must be either strings or (string, dict) tuples")
    return names
