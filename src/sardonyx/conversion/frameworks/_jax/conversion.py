"""From a function or module to what the core wants to know of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._jax.axes import Axes, fixed_axes, open_axes
from sardonyx.conversion.frameworks._jax.calls import Call
from sardonyx.conversion.frameworks._jax.exporting import explained, exported, x64
from sardonyx.conversion.source import Request
from sardonyx.errors import ConversionError

__all__ = ["convert"]


def convert(source: Any, request: Request) -> Exported:
    """Exports a function or a module with example inputs."""
    wanted = request.option("dynamic_axes", {})
    if not isinstance(wanted, Mapping):
        raise ConversionError("dynamic_axes: expected {input: {axis: name}}, such as {'ids': {1: 'sequence'}}")
    notes: list[str] = []
    call = Call.of(_function(source, notes), request.example_inputs)
    notes += [f"{name} = {value!r} is part of the model, as in the example" for name, value in call.fixed]
    wide = any(np.dtype(array.dtype).itemsize == 8 and array.dtype.kind != "c" for array in call.arrays)
    with x64(wide):
        axes = open_axes(call, request.dynamic, wanted)
        return _exported(call, axes, wide, request.opset, notes)


def _exported(call: Call, axes: Axes, wide: bool, opset: int | None, notes: list[str]) -> Exported:
    """Tries whole layers, then primitives; where neither can be had with open axes, with the example's sizes."""
    tries = [(axes, True), (axes, False)]
    if any(axes.names):
        closed = fixed_axes(call, "every size is fixed: jax2onnx cannot convert the function with open ones")
        tries += [(closed, True), (closed, False)]
    problems: list[Exception] = []
    for tried, layers in tries:
        try:
            model = exported(call, tried, wide, layers, opset)
        except Exception as error:  # whatever its plugins raise
            problems.append(error)
        else:
            return _described(call, tried, model, wide, opset, layers, notes, problems)
    raise explained(problems[1]) from problems[1]


def _described(
    call: Call,
    axes: Axes,
    model: Any,
    wide: bool,
    opset: int | None,
    layers: bool,
    notes: list[str],
    problems: list[Exception],
) -> Exported:
    def primitives() -> Exported:
        with x64(wide):
            made = exported(call, axes, wide, False, opset)
        said = [*notes, "traced as primitives: jax2onnx's own form of the layers was not exact"]
        return _described(call, axes, made, wide, opset, False, said, [])

    if not layers and problems:
        told = str(problems[0]).strip().partition("\n")[0]
        notes = [*notes, f"traced as primitives: jax2onnx cannot convert the layers as a whole ({told})"]
    floats = [array.dtype for array in call.arrays if array.dtype.kind == "f"]
    return Exported(
        model,
        _reference(call, wide),
        domains=_domains(call),
        sizes={
            n: array.shape[a] for array, names in zip(call.arrays, axes.names, strict=True) for a, n in names.items()
        },
        float64=bool(floats) and all(dtype == np.float64 for dtype in floats),
        notes=[*notes, *axes.notes],
        finer=primitives if layers else None,
    )


def _reference(call: Call, wide: bool) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """What the jitted function gives on the CPU."""
    jitted = jax.jit(lambda *arrays: call.flat(*arrays))
    cpu = jax.local_devices(backend="cpu")[0]

    def answer(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        with x64(wide), jax.default_device(cpu):
            results = jitted(*(jax.device_put(np.asarray(feeds[name]), cpu) for name in call.names))
        return {name: np.asarray(value) for name, value in zip(call.outputs, results, strict=True)}

    return answer


def _domains(call: Call) -> dict[str, Domain]:
    """The example's own ranges: indices stay indices."""
    found = {}
    for name, array in zip(call.names, call.arrays, strict=True):
        values = np.asarray(array)
        if values.dtype.kind in "iuf" and values.size and np.all(np.isfinite(values)) and values.min() < values.max():
            found[name] = Domain(values.min(), values.max())
    return found


def _function(source: Any, notes: list[str]) -> Callable[..., Any]:
    """What is called: a module becomes a function of its inputs, in evaluation mode."""
    if isinstance(source, tuple):
        module, variables = source
        return _named(module, lambda *args, **kwargs: module.apply(variables, *args, **kwargs))
    packages = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    if "flax" not in packages:
        return source  # type: ignore[no-any-return]
    from flax import linen, nnx

    if isinstance(source, linen.Module):
        if source.scope is None:
            raise ConversionError(
                "a Flax Linen module holds no variables: convert((module, variables), example_inputs=...), or bind it: "
                "module.bind(variables)"
            )
        unbound, variables = source.unbind()
        return _named(unbound, lambda *args, **kwargs: unbound.apply(variables, *args, **kwargs))
    copied = nnx.merge(*nnx.split(source))
    copied.eval()
    notes.append("converted in eval mode; the module itself is left as it is")
    return copied  # type: ignore[no-any-return]


def _named(module: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """With the signature of the module's own call, which names the inputs."""
    own = inspect.signature(type(module).__call__)
    parameters = list(own.parameters.values())[1:]
    wrapped = functools.wraps(type(module).__call__)(function)
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped
