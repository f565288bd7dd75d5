"""jax2onnx, its two ways of looking at a function, and what it leaves behind.

While jax2onnx traces a function it replaces some hundred functions of JAX, Flax and Equinox by its own, so that whole
layers become one operator. Some of those take fewer arguments than what they replace. Where that fails, or where its
result is not exact, the function is traced as JAX itself sees it, as primitives only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import jax
import onnx

from sardonyx.conversion.frameworks._jax.axes import Axes
from sardonyx.conversion.frameworks._jax.calls import Call
from sardonyx.conversion.frameworks._jax.naming import rename
from sardonyx.errors import ConversionError

__all__ = ["explained", "exported", "x64"]

_PATCHED = ("jax", "flax", "equinox")


def x64(wide: bool) -> Any:
    """A context in which JAX has, or has not, types of 64 bits."""
    return jax.enable_x64(wide)


def exported(call: Call, axes: Axes, wide: bool, layers: bool, opset: int | None) -> onnx.ModelProto:
    """The model; ``layers`` looks at whole layers, otherwise at primitives. Raises what jax2onnx raises."""
    api = _jax2onnx()
    inputs = [jax.ShapeDtypeStruct(axes.shape(i, a), a.dtype) for i, a in enumerate(call.arrays)]
    settings: dict[str, Any] = {} if opset is None else {"opset": opset}
    with contextlib.nullcontext() if layers else _primitives_only():
        try:
            model: onnx.ModelProto = api.to_onnx(
                call.flat,
                inputs,
                model_name=getattr(call.function, "__name__", "function"),
                enable_double_precision=wide,
                **settings,
            )
        finally:
            jax.clear_caches()  # traces made meanwhile hold primitives that JAX cannot run
    rename(model.graph, call.names, call.outputs)
    _name_sizes(model, call, axes)
    return model


def explained(error: Exception) -> ConversionError:
    """What jax2onnx raised, with the primitive that it has no converter for by name."""
    text = str(error).strip().partition("\n")[0]
    found = re.search(r"primitive '([^']+)'", text)
    if found:
        return ConversionError(
            f"jax2onnx has no converter for JAX's primitive {found[1]!r}, which the function uses; write that part "
            "with other operations, or compute it outside"
        )
    return ConversionError(f"jax2onnx could not convert the function: {type(error).__name__}: {text}")


def _jax2onnx() -> Any:
    """The package with all its plugins. Loading them replaces functions of JAX for good (``jnp.cumsum`` in 0.17); those
    are put back."""
    if "jax2onnx.plugins.plugin_system" not in sys.modules:
        for name in ("flax.nnx", "flax.linen", "equinox"):
            if importlib.util.find_spec(name.partition(".")[0]) is not None:
                importlib.import_module(name)
        before = {
            name: dict(vars(module))
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in _PATCHED and isinstance(module, types.ModuleType)
        }
        from jax2onnx.plugins.plugin_system import import_all_plugins

        import_all_plugins()
        for name, values in before.items():
            _put_back(sys.modules[name], values)
    import jax2onnx

    return jax2onnx


def _put_back(module: types.ModuleType, before: dict[str, Any]) -> None:
    for name, value in before.items():
        now = vars(module).get(name)
        if now is not value and str(getattr(now, "__module__", "")).startswith("jax2onnx"):
            setattr(module, name, value)


@contextlib.contextmanager
def _primitives_only() -> Iterator[None]:
    """jax2onnx replaces nothing while it traces."""
    from jax2onnx.converter import conversion_api

    before = conversion_api._activate_plugin_worlds
    conversion_api._activate_plugin_worlds = contextlib.nullcontext
    try:
        yield
    finally:
        conversion_api._activate_plugin_worlds = before


def _name_sizes(model: onnx.ModelProto, call: Call, axes: Axes) -> None:
    """The shapes of inputs and outputs as JAX has them: jax2onnx leaves placeholders for sizes of loops' results."""
    inputs = {name: axes.shape(i, a) for i, (name, a) in enumerate(zip(call.names, call.arrays, strict=True))}
    shapes = {**inputs, **dict(zip(call.outputs, axes.outputs, strict=True))}
    for value in (*model.graph.input, *model.graph.output):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in shapes[value.name]:
            if isinstance(size, int):
                shape.dim.add(dim_value=size)
            else:
                shape.dim.add(dim_param=size)
    del model.graph.value_info[:]
