"""Which execution providers a session is asked for, in ONNX Runtime's forms. There is one here: the processor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from sardonyx.errors import ProviderError
from sardonyx.options import CPU_PROVIDER

__all__ = [
    "check_and_normalize_provider_args",
    "check_available",
    "chosen_providers",
    "get_all_providers",
    "get_available_providers",
]

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
        check_and_normalize_provider_args(providers, options, get_available_providers(), stacklevel=5)
    except ValueError as error:
        if not fall_back:
            raise
        warnings.warn(f"{error}; falling back to {CPU_PROVIDER}", UserWarning, stacklevel=4)
    return {CPU_PROVIDER: {}}  # it has no options of its own: others are accepted and have no effect, as there


def check_available(providers: Providers) -> None:
    """Raises RuntimeError for a provider that is not available."""
    for item in providers or ():
        name = item if isinstance(item, str) else item[0]
        if name != CPU_PROVIDER:
            raise ProviderError(f"Unknown Provider Type: {name} (available: {CPU_PROVIDER})")


def check_and_normalize_provider_args(
    providers: Providers,
    provider_options: Sequence[Mapping[str, Any]] | None,
    available_provider_names: Sequence[str],
    stacklevel: int = 2,
) -> tuple[list[str], list[dict[str, str]]]:
    """Names, and options as text, of the providers asked for, each once.

    Warns of those that are not available and of repetitions. Raises ValueError for arguments of another form.
    """
    found: dict[str, dict[str, str]] = {}
    for name, settings in _pairs(providers, provider_options):
        if name not in available_provider_names:
            warnings.warn(
                f"Specified provider {name!r} is not in available provider names and is left out. "
                f"Available providers: {', '.join(available_provider_names)!r}",
                UserWarning,
                stacklevel=stacklevel,
            )
        if name in found:
            warnings.warn(f"Duplicate provider {name!r} encountered, ignoring.", UserWarning, stacklevel=stacklevel)
            continue
        found[name] = {str(key): str(value) for key, value in settings.items()}
    return list(found), list(found.values())


def _pairs(providers: Providers, options: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, Mapping[str, Any]]]:
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
    pairs: list[tuple[str, Mapping[str, Any]]] = []
    for position, item in enumerate(providers):
        match item:
            case str():
                pairs.append((item, options[position] if options is not None else {}))
            case (str() as name, Mapping() as settings):
                pairs.append((name, settings))
            case _:
                raise ValueError("'providers' values must be either strings or (string, dict) tuples")
    return pairs
