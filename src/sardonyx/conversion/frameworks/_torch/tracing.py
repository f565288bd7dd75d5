"""Inner values of a module by their names in the model, for the first layer in which both differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch

from sardonyx.conversion.frameworks._torch.calls import Flat, array_of, evaluating, taken_apart, tensor_of
from sardonyx.errors import ConversionError

__all__ = ["Tracer", "layers_of", "scopes_of_trace"]


class Tracer:
    """Runs a module and collects what its layers give. ``values`` are, by a layer's name, its results' names in the
    model, one for each time that it is called."""

    def __init__(self, flat: Flat, inputs: Sequence[str], values: Mapping[str, Sequence[str]]) -> None:
        self._flat, self._inputs, self._values = flat, inputs, values

    def __call__(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        given: list[tuple[str, Any]] = []
        parts = dict(self._flat.inner.named_modules())
        hooks = [parts[name].register_forward_hook(_collecting(name, given)) for name in self._values]
        try:
            with evaluating(self._flat):
                self._flat(*(tensor_of(feeds[name]) for name in self._inputs))
        finally:
            for hook in hooks:
                hook.remove()
        found: dict[str, Any] = {}
        calls: dict[str, int] = {}
        for layer, result in given:
            call = calls[layer] = calls.get(layer, -1) + 1
            if call < len(self._values[layer]) and result is not None:
                found.setdefault(self._values[layer][call], array_of(result))
        return {
            name: value
            for name, value in found.items()
            if all(calls.get(layer, -1) + 1 == len(names) for layer, names in self._values.items() if name in names)
        }


def layers_of(model: onnx.ModelProto, scopes: Mapping[str, str], module: torch.nn.Module) -> dict[str, list[str]]:
    """By a layer's name, the values that leave the nodes of each of its calls, where each time it is one value.

    ``scopes`` name the innermost layer that a node comes from, by the node's first output.
    """
    nodes = [node for node in model.graph.node if node.output and node.output[0] in scopes]
    readers = _readers(model, nodes)
    found = {}
    for name, part in module.named_modules():
        if not name or isinstance(part, torch.jit.ScriptModule):
            continue
        runs = _runs([_is_within(scopes[node.output[0]], name) for node in nodes])
        values = [_leaving(nodes, begin, end, readers) for begin, end in runs]
        if values and all(values):
            found[name] = [value for value in values if value]
    return found


def scopes_of_trace(model: onnx.ModelProto, module: torch.nn.Module) -> dict[str, str]:
    """The same from the node names of the exporter that traces, such as ``/inner/block.0/fc_1/MatMul``, where ``_1``
    marks the second call."""
    known = {f"inner.{name}" for name, _ in module.named_modules()} | {"inner"}
    scopes = {}
    for node in model.graph.node:
        parts = node.name.strip("/").split("/")[:-1]
        path = ".".join(parts)
        if path not in known:
            path = ".".join(re.sub(r"_\d+$", "", part) for part in parts)
        if path in known:
            scopes[node.output[0]] = path.removeprefix("inner").removeprefix(".")
    return scopes


def _collecting(name: str, given: list[tuple[str, Any]]) -> Any:
    def collect(module: Any, args: Any, result: Any) -> None:
        try:
            given.append((name, taken_apart(result)[0][1].detach().clone()))
        except ConversionError:  # a layer that gives no tensor
            given.append((name, None))

    return collect


def _is_within(scope: str, layer: str) -> bool:
    return scope == layer or scope.startswith(f"{layer}.")


def _runs(inside: Sequence[bool]) -> list[tuple[int, int]]:
    """The stretches of True as (begin, end)."""
    edges = [index for index, value in enumerate([*inside, False]) if value != (index > 0 and inside[index - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _readers(model: onnx.ModelProto, nodes: Sequence[Any]) -> dict[str, set[int]]:
    """Who takes each value: indices of nodes, -1 for the caller and for nodes that come from no layer."""
    places = {node.output[0]: index for index, node in enumerate(nodes)}
    readers: dict[str, set[int]] = {value.name: {-1} for value in model.graph.output}
    for node in model.graph.node:
        for value in _read(node):
            readers.setdefault(value, set()).add(places.get(node.output[0], -1) if node.output else -1)
    return readers


def _leaving(nodes: Sequence[Any], begin: int, end: int, readers: Mapping[str, set[int]]) -> str | None:
    """The one value that nodes elsewhere, or the caller, take of those that nodes begin to end make."""
    made = [value for node in nodes[begin:end] for value in node.output]
    left = [value for value in made if any(not begin <= reader < end for reader in readers.get(value, ()))]
    return left[0] if len(left) == 1 else None


def _read(node: Any) -> set[str]:
    """What a node takes, in its inner graphs too."""
    graphs = [g for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]
    return {*node.input, *(value for graph in graphs for inner in graph.node for value in _read(inner))}
