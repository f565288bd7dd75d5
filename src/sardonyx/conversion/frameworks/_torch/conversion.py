"""From a module or a program to what the core wants to know of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import torch

from sardonyx import metadata
from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._torch.axes import BATCH, Axes, open_axes
from sardonyx.conversion.frameworks._torch.calls import Call, Flat, array_of, evaluating, tensor_of
from sardonyx.conversion.frameworks._torch.exporting import Graph, exported, of_program, traced
from sardonyx.conversion.frameworks._torch.places import place_of
from sardonyx.conversion.frameworks._torch.tracing import Tracer, layers_of
from sardonyx.conversion.source import Request
from sardonyx.conversion.tables import from_tables
from sardonyx.errors import ConversionError

__all__ = ["convert"]

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def convert(model: Any, request: Request, notes: list[str]) -> Exported:
    """Exports a module, ScriptModule or ExportedProgram."""
    wanted = request.option("dynamic_axes", {})
    if not isinstance(wanted, Mapping):
        raise ConversionError("dynamic_axes: expected {input: {axis: name}}, such as {'ids': {1: 'sequence'}}")
    if isinstance(model, torch.export.ExportedProgram):
        module, call = _of_program(model, request)
        flat = Flat(module, call)
        with evaluating(flat):
            flat(*call.tensors)
            graph = of_program(model, call.names, flat.given, _axes_of(model, call, wanted, notes), request.opset)
    else:
        if model.training:
            notes.append("converted in eval mode; the module stays in training mode")
        call = Call.of(model, request.example_inputs)
        flat = Flat(model, call)
        with evaluating(flat):
            graph = _of_module(model, flat, call, request, wanted, notes)
    notes += [f"{name} = {value!r} is part of the model, as in the example" for name, value in call.fixed]
    notes += [*graph.notes, *graph.axes.notes]
    floats = [t for t in (*flat.parameters(), *call.tensors) if t.is_floating_point()]
    reference = _Reference(flat, call.names, [value.name for value in graph.model.graph.output])
    shown = Flat(torch.export.unflatten(model), call) if isinstance(model, torch.export.ExportedProgram) else flat
    layers = layers_of(graph.model, graph.scopes, shown.inner)
    return Exported(
        graph.model,
        reference,
        domains=_domains(call, from_tables(graph.model)),
        sizes=graph.axes.sizes,
        float64=bool(floats) and all(t.dtype == torch.float64 for t in floats),
        metadata=_metadata(flat.inner, flat.given),
        notes=notes,
        trace=Tracer(shown, call.names, layers) if layers else None,
        layers={value: layer for layer, values in layers.items() for value in values},
    )


class _Reference:
    """The module's own answer on arrays."""

    def __init__(self, flat: Flat, inputs: list[str], outputs: list[str]) -> None:
        self._flat, self._inputs, self._outputs = flat, inputs, outputs

    def __call__(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        with evaluating(self._flat):
            results = self._flat(*(tensor_of(feeds[name]) for name in self._inputs))
        return dict(zip(self._outputs, map(array_of, results), strict=True))


def _of_module(
    model: Any, flat: Flat, call: Call, request: Request, wanted: Mapping[str, Any], notes: list[str]
) -> Graph:
    given = [tensor.detach().cpu() for tensor in call.tensors]
    before = [(name, buffer, buffer.clone()) for name, buffer in flat.inner.named_buffers()]
    try:
        flat(*given)
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(f"the model cannot be called with the example inputs, {place_of(error)}") from error
    _refuse_state(before)
    notes += [f"{name} ({type(value).__name__}) is no output: it is no tensor" for name, value in flat.dropped]
    outputs = list(flat.given)
    axes = open_axes(flat, call.names, given, request.dynamic, wanted)
    if not isinstance(model, torch.jit.ScriptModule):
        return exported(flat, call.names, given, axes, request.opset)
    args, kwargs = call.arguments(axes.tensors)
    if kwargs or call.fixed:
        model, args = torch.jit.trace(flat, tuple(axes.tensors), check_trace=False), list(axes.tensors)
    try:
        return traced(model, args, call.names, outputs, axes, request.opset)
    except Exception as error:
        if "DictConstruct" not in str(error):
            raise
        raise ConversionError("a script that makes a dict has no ONNX form: let it return a tuple") from error


def _refuse_state(before: list[tuple[str, torch.Tensor, torch.Tensor]]) -> None:
    """Raises if a call changed a buffer, which is put back."""
    changed = [(name, buffer, old) for name, buffer, old in before if not torch.equal(buffer, old)]
    for _, buffer, old in changed:
        buffer.copy_(old)
    if changed:
        raise ConversionError(
            f"a call changes the module's buffers ({', '.join(name for name, _, _ in changed)}), and an ONNX model "
            "keeps nothing from call to call: make them inputs, and return their new values"
        )


def _of_program(program: Any, request: Request) -> tuple[Any, Call]:
    """A program as a module, and the call that it was made from."""
    example = request.example_inputs if request.example_inputs is not None else program.example_inputs
    if example is None:
        raise ConversionError("the exported program holds no example inputs: give them as example_inputs=(...)")
    module = program.module(check_guards=False)
    if request.example_inputs is not None:
        return module, Call.of(module, example)
    args, kwargs = example
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    call = Call.split([(f"input_{i}", value) for i, value in enumerate(args)], kwargs)
    if len(names) == len(call.names):
        call.names[:] = names
    return module, call


def _axes_of(program: Any, call: Call, wanted: Mapping[str, Any], notes: list[str]) -> Axes:
    """The axes that a program was exported with; they cannot be opened any more."""
    values = {n.name: n.meta["val"] for n in program.graph.nodes if n.op == "placeholder"}
    titles: dict[str, str] = {}
    names: list[dict[int, str]] = []
    for title, tensor in zip(call.names, call.tensors, strict=True):
        shape = values[title].shape if title in values else tensor.shape
        given: dict[int, str] = {}
        for axis, size in enumerate(shape):
            if not isinstance(size, int):
                asked = wanted.get(title, {}).get(axis)
                default = BATCH if axis == 0 and BATCH not in titles.values() else f"{title}_{axis}"
                given[axis] = titles.setdefault(str(size), asked or default)
        names.append(given)
    if not any(names):
        notes.append("every size is fixed: the program was exported without dynamic_shapes")
    return Axes(call.tensors, names)


def _domains(call: Call, known: Collection[str]) -> dict[str, Domain]:
    """Integers stay within the example's, where the model does not say what they may be; masks of padding, by their
    names, hide no whole row: that has no answer."""
    found = {}
    for name, tensor in zip(call.names, call.tensors, strict=True):
        if "mask" in name and tensor.ndim == 2 and not tensor.is_floating_point():
            found[name] = Domain(padding=True, trained=False)
        elif tensor.dtype in _INTEGERS and name not in known and tensor.numel() and tensor.any():
            found[name] = Domain(int(tensor.min()), int(tensor.max()), trained=False)
    return found


def _metadata(module: Any, outputs: list[str]) -> dict[str, str]:
    """Class names, where a transformers configuration holds real ones."""
    labels = getattr(getattr(module, "config", None), "id2label", None)
    if (
        not isinstance(labels, Mapping)
        or "logits" not in outputs
        or all(str(v).startswith("LABEL_") for v in labels.values())
    ):
        return {}
    names = [str(labels[key]) for key in sorted(labels)]
    return {metadata.CLASSES: json.dumps(names if outputs[0] == "logits" else {"logits": names})}
