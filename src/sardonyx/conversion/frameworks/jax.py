"""JAX: functions with example inputs, and the modules of Flax and Equinox, through jax2onnx."""

from __future__ import annotations

import functools
import importlib.util
import types
from collections.abc import Mapping
from typing import ClassVar

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._jax.evidence import packages_of
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["Jax"]

_MINE = frozenset({"jax", "jaxlib", "flax", "equinox", "haiku", "optax", "chex"})
_OTHERS = frozenset({"torch", "tensorflow", "keras", "sklearn", "xgboost", "lightgbm", "catboost", "mxnet", "chainer"})
_TOOL = "jax2onnx"
_FLAX = "a Flax module"


class Jax(Framework):
    """A function of arrays (jitted, partial, bound or plain), a Flax NNX module, a bound Linen module, a Linen module
    with its variables as a pair, or an Equinox module; always with example inputs.

    Options: ``dynamic_axes`` ({input: {axis: name}}) opens more axes than the batch.
    """

    key = "jax"
    title = "JAX"
    extra = "jax"
    packages: ClassVar[Mapping[str, str]] = {"jax": "jax", "jax2onnx": "jax2onnx>=0.17", "flax": "flax"}

    def sees(self, source: Source) -> Form | None:
        if source.path is not None:
            return None
        kind = self._kind(source)
        return None if kind is None else Form(self.key, kind, _TOOL)

    def _kind(self, source: Source) -> str | None:
        if isinstance(source.object, tuple) and len(source.object) == 2:
            pair = Source(source.object[0]) if not isinstance(source.object[0], str) else None
            return f"{_FLAX} (Linen) with its variables" if pair is not None and pair.is_a("flax.Module") else None
        if source.is_a("jaxlib.PjitFunction"):
            return "a jitted JAX function"
        if source.is_a("flax.Module"):
            return _FLAX
        if source.is_a("equinox.Module"):
            return "an Equinox module"
        found = packages_of(source.object) if callable(source.object) and not isinstance(source.object, type) else None
        if found is None or (not found & _MINE and found & _OTHERS):
            return None
        if found & _MINE and source.packages[0] not in _OTHERS:
            return "a JAX function"
        plain = (types.FunctionType, types.MethodType, functools.partial)
        return "a function of arrays" if isinstance(source.object, plain) else None

    def required(self, form: Form) -> Mapping[str, str]:
        """Flax is needed only by its modules; jax2onnx brings it along anyway."""
        return {name: pip for name, pip in self.packages.items() if name != "flax" or form.kind.startswith(_FLAX)}

    def versions(self) -> dict[str, str]:
        """Flax counts where it is installed."""
        return super().versions() if importlib.util.find_spec("jax") else {}

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        from sardonyx.conversion.frameworks._jax.conversion import convert

        return convert(source.object, request)
