"""torch.onnx's two exporters, what to say when they cannot, and names that people know."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.export import Dim

import sardonyx
from sardonyx.conversion.certificate import Measure
from sardonyx.conversion.frameworks._torch.axes import BATCH, Axes, fixed_batch
from sardonyx.conversion.frameworks._torch.calls import Flat, array_of
from sardonyx.conversion.frameworks._torch.places import line_of, place_of, settled_sizes
from sardonyx.conversion.frameworks._torch.tracing import scopes_of_trace
from sardonyx.conversion.writing import opened
from sardonyx.errors import ConversionError, SardonyxError

__all__ = ["Graph", "exported", "of_program", "traced"]

_LOWEST = 18
_LOWEST_TRACED, _TRACED_OPSET, _HIGHEST_TRACED = 7, 17, 20
_BFLOAT16_OPSET = 22  # the first in which convolutions, pools and recurrent operators take it
_METADATA = ("pkg.torch", "pkg.onnxscript", "namespace")
_WAY_OUT = (
    "A graph holds both ways only if it is told so: use torch.where, torch.cond or torch.while_loop there, or convert "
    "torch.jit.script(model)"
)


@dataclass
class Graph:
    """A model with the source's names, the axes that it leaves open, and what had to be done for it. ``scopes``
    are the layers that its nodes come from, by the nodes' first outputs."""

    model: onnx.ModelProto
    axes: Axes
    notes: list[str] = field(default_factory=list)
    scopes: dict[str, str] = field(default_factory=dict)


def exported(flat: Flat, names: Sequence[str], given: Sequence[torch.Tensor], axes: Axes, opset: int | None) -> Graph:
    """A module through torch.export; through a trace where torch.export cannot and the trace proves right."""
    if opset is not None and opset < _LOWEST:
        return _proven(flat, names, axes, opset, f"torch.export writes opset {_LOWEST} and above")
    try:
        try:
            program = _program(flat, axes)
        except Exception as error:
            if not _settles_a_size(error):
                raise
            try:
                return _proven(flat, names, axes, opset, "it settles the size of an axis")
            except ConversionError:
                axes = _without_batch(flat, given, axes)
                program = _program(flat, axes)
        graph = of_program(program, names, flat.given, axes, opset)
        graph.scopes = {value: scope.removeprefix("inner").removeprefix(".") for value, scope in graph.scopes.items()}
        return graph
    except ConversionError:
        raise
    except Exception as error:
        _refuse_branches(error)
        reason = _reason(error)
        try:
            return _proven(flat, names, axes, opset, reason)
        except ConversionError as second:
            raise ConversionError(f"torch.export: {reason}. {second}") from error


def of_program(program: Any, inputs: Sequence[str], outputs: Sequence[str], axes: Axes, opset: int | None) -> Graph:
    """An exported program to ONNX."""
    coarse = any(value.dtype == torch.bfloat16 for value in (*program.state_dict.values(), *axes.tensors))
    version = _BFLOAT16_OPSET if opset is None and coarse else opset
    # its optimizer folds batch norms into float32 weights, whatever the convolution's type is
    made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=version, optimize=not coarse)
    model = made.model_proto
    if opset is not None and model.opset_import[0].version != opset:
        raise ConversionError(f"torch.onnx cannot write opset {opset}; it gave {model.opset_import[0].version}")
    _name_sizes(model, program, axes)
    scopes = _scopes(model)
    renamed = _rename(model, inputs, outputs)
    return Graph(model, axes, scopes={renamed.get(value, value): scope for value, scope in scopes.items()})


def traced(
    module: Any, tensors: Sequence[Any], names: Sequence[str], outputs: Sequence[str], axes: Axes, opset: int | None
) -> Graph:
    """A TorchScript module, or a module by watching one call."""
    version = opset if opset is not None else _TRACED_OPSET
    if not _LOWEST_TRACED <= version <= _HIGHEST_TRACED:
        spoken = f"{_LOWEST_TRACED} to {_HIGHEST_TRACED}"
        raise ConversionError(f"torch.onnx writes what is traced or scripted as opset {spoken}; {opset} was asked for")
    with tempfile.TemporaryDirectory(prefix="sardonyx-") as folder:  # weights of 2 GB need a file
        path = str(Path(folder) / "model.onnx")
        torch.onnx.export(
            module,
            tuple(tensors),
            path,
            dynamo=False,
            opset_version=version,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes={name: dict(given) for name, given in zip(names, axes.names, strict=True) if given},
        )
        return Graph(onnx.load(path), axes)


def _program(flat: Flat, axes: Axes) -> Any:
    shapes = tuple(dict.fromkeys(names, Dim.DYNAMIC) for names in axes.names)
    return torch.export.export(flat, tuple(axes.tensors), dynamic_shapes={"tensors": shapes}, strict=False)


def _proven(flat: Flat, names: Sequence[str], axes: Axes, opset: int | None, reason: str) -> Graph:
    """A trace holds what one call did: it counts only if other calls give the source's results too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat(*axes.tensors)
        try:
            graph = traced(flat, axes.tensors, names, list(flat.given), axes, opset)
        except ConversionError:
            raise
        except Exception as error:
            raise ConversionError(f"Tracing fails too, {place_of(error)}") from error
    try:
        wrong = _wrong_output(flat, names, axes, graph.model)
    except SardonyxError as error:
        raise ConversionError(f"A trace of one call cannot take other calls, so it is no way round: {error}") from error
    if wrong:
        raise ConversionError(f"A trace of one call answers others wrongly (output {wrong}), so it is no way round")
    note = f"traced by one call, since torch.export could not ({reason}); the trace answers other calls as the source"
    return replace(graph, notes=[note], scopes=scopes_of_trace(graph.model, flat.inner))


def _wrong_output(flat: Flat, names: Sequence[str], axes: Axes, model: onnx.ModelProto) -> str:
    """The first output in which a trace is not the source, or nothing."""
    session = opened(model, sardonyx.SessionOptions(use_cache=False, log_severity_level=3))
    for tensors in _other_calls(axes):
        results = session.run(None, {n: array_of(t) for n, t in zip(names, tensors, strict=True)})
        for name, ours, theirs in zip(flat.given, results, flat(*tensors), strict=True):
            measure = Measure(name)
            measure.add(array_of(theirs), ours)
            figures = measure.figures()
            if figures.problem or figures.relative > 1e-3 or (figures.kind == "labels" and figures.flips):
                return name
    return ""


def _other_calls(axes: Axes) -> list[list[torch.Tensor]]:
    """The example, its rows reversed with floats of another sign and scale, and another batch."""
    calls = [axes.tensors, [t.flip(0) * -0.7 if t.is_floating_point() and t.ndim else t for t in axes.tensors]]
    for name, size in axes.sizes.items():
        calls.append(axes.with_size(name, size + 3).tensors)
    if BATCH in axes.sizes:
        calls.append(axes.with_size(BATCH, 1).tensors)
    return [list(call) for call in calls]


def _settles_a_size(error: Exception) -> bool:
    return "Constraints violated" in str(error)


def _without_batch(flat: Flat, given: Sequence[torch.Tensor], axes: Axes) -> Axes:
    """The axes without the batch, if it is the batch that the module settles; raises for an axis that was asked for."""
    shapes = tuple(dict.fromkeys(names, Dim.AUTO) for names in axes.names)
    with settled_sizes() as lines:
        program = torch.export.export(flat, tuple(axes.tensors), dynamic_shapes={"tensors": shapes}, strict=False)
    line = next((line for line in lines.values() if line), "")
    where = f": {line} needs it so" if line else ""
    for placeholder, names in zip(_inputs(program), axes.names, strict=True):
        for axis, name in names.items():
            if str(placeholder.shape[axis]).isdigit() and name != BATCH:
                raise ConversionError(f"the axis {name!r} cannot be left open{where}; leave it out of dynamic_axes")
    reason = f"the batch stays {_batch_of(given, axes)}{where}"
    return fixed_batch(axes, given, reason)


def _batch_of(given: Sequence[torch.Tensor], axes: Axes) -> int:
    pairs = zip(given, axes.names, strict=True)
    return next(int(t.shape[axis]) for t, names in pairs for axis, name in names.items() if name == BATCH)


def _inputs(program: Any) -> list[Any]:
    """What the tensors among a program's inputs look like."""
    wanted = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]


def _name_sizes(model: onnx.ModelProto, program: Any, axes: Axes) -> None:
    """Symbols such as s77 become the axes' names, in expressions too."""
    titles: dict[str, str] = {}
    for value, names in zip(_inputs(program), axes.names, strict=True):
        for axis, name in names.items():
            titles.setdefault(str(value.shape[axis]), name)
    if not titles:
        return
    pattern = re.compile("|".join(rf"\b{re.escape(symbol)}\b" for symbol in titles))
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(lambda found: titles[found[0]], dim.dim_param)


def _scopes(model: onnx.ModelProto) -> dict[str, str]:
    """The innermost module that each node's output comes from; then the exporter's remarks, which hold paths of this
    machine, are gone."""
    scopes = {}
    for node in model.graph.node:
        said = {entry.key: entry.value for entry in node.metadata_props}
        names = re.findall(r"'([^']*)'", said.get("pkg.torch.onnx.name_scopes", ""))
        if len(names) > 1 and node.output:
            scopes[node.output[0]] = names[-2]
        _strip(node)
    for holder in (model, model.graph, *model.graph.input, *model.graph.output, *model.graph.value_info):
        _strip(holder)
    for tensor in model.graph.initializer:
        _strip(tensor)
    return scopes


def _strip(holder: Any) -> None:
    kept = [entry for entry in holder.metadata_props if not entry.key.startswith(_METADATA)]
    if len(kept) < len(holder.metadata_props):
        del holder.metadata_props[:]
        holder.metadata_props.extend(kept)


def _rename(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Gives inputs and outputs the source's names; an inner value of such a name steps aside."""
    graph = model.graph
    wanted = dict(zip([v.name for v in graph.input], inputs, strict=True))
    wanted |= {value.name: name for value, name in zip(graph.output, outputs, strict=True) if value.name not in wanted}
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | set(wanted)
    aside = {name: f"{name}_inner" for name in wanted.values() if name in taken and name not in wanted}
    names = aside | wanted
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    _rename_nodes(graph, names)
    return names


def _rename_nodes(graph: Any, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                if name in names:
                    values[index] = names[name]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename_nodes(inner, names)
                for value in (*inner.output, *inner.value_info):
                    value.name = names.get(value.name, value.name)


def _refuse_branches(error: Exception) -> None:
    if type(error).__name__ in ("GuardOnDataDependentSymNode", "UserError") and "data-dependent" in str(error):
        raise ConversionError(
            f"{line_of(error) or 'the model'} decides by the values of a tensor which way to go, or a size. {_WAY_OUT}"
        ) from error


def _reason(error: BaseException) -> str:
    """What failed, by the name of the operator where it is one."""
    chain: BaseException | None = error
    while chain is not None:
        operator = re.search(r"No ONNX function found for <OpOverload\(op='([^']*)'", str(chain))
        if operator:
            return f"the operator {operator[1]} has no ONNX form"
        chain = chain.__cause__
    return place_of(error)
