"""A graph to a compiled model: steps, kernels, objects, and the plain data that the runtime needs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from sardonyx.compiler.driver import Driver
from sardonyx.compiler.fallback import host_step, python_step
from sardonyx.compiler.memory import plan_memory
from sardonyx.compiler.region import lower_region
from sardonyx.compiler.steps import Region as NodeRegion
from sardonyx.compiler.steps import cut, is_symbol
from sardonyx.compiler.workspace import Call as KernelCall
from sardonyx.compiler.workspace import Workspace
from sardonyx.errors import UnsupportedOpError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.model import Model
from sardonyx.kernels.spec import Kernel, kernel_text, symbol_name
from sardonyx.lang.worker import compile_all
from sardonyx.ops.inference import GraphInfo, infer_graph, node_label
from sardonyx.ops.lowered import is_hosted
from sardonyx.runtime.processors import default_threads
from sardonyx.runtime.program import Call, DimOf, HostStep, InputSpec, OutputSpec, Region, Size, Slot, ValueSpec
from sardonyx.symbols import Dim, Expr, free_symbols
from sardonyx.targets import Target

__all__ = ["CompiledModel", "CompiledRegion", "compile_graph"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass
class CompiledRegion:
    """One region: its description, its weights, and what people may want to look at."""

    region: Region
    weights: list[npt.NDArray[Any]]
    calls: list[KernelCall]
    driver_text: str


@dataclass
class CompiledModel:
    """Everything that a Program is made of. ``objects`` hold all kernels and drivers."""

    inputs: tuple[ValueSpec, ...]
    outputs: tuple[ValueSpec, ...]
    steps: list[CompiledRegion | HostStep]
    constants: dict[str, Any]
    objects: list[bytes] = field(default_factory=list)
    kernels: dict[str, Kernel] = field(default_factory=dict)


def compile_graph(
    model: Model,
    target: Target,
    *,
    strict: bool = False,
    exact_convolution: bool = False,
    on_progress: Progress | None = None,
) -> CompiledModel:
    """Compiles a model whose passes have run.

    Under ``strict`` a node without a lowering raises UnsupportedOpError instead of becoming a Python step; with
    ``exact_convolution`` no convolution is transformed.
    """
    report = on_progress or (lambda what, done, total: None)
    graph = model.graph
    info = infer_graph(graph)
    steps: list[CompiledRegion | HostStep] = []
    kernels: dict[str, Kernel] = {}
    for step in cut(graph, info):
        if isinstance(step, NodeRegion):
            space = lower_region(step, info, target, exact_convolution)
            steps.append(_compile_region(space, len(steps), kernels))
        elif is_hosted(step, info):
            steps.append(host_step(step, info))
        elif strict:
            raise UnsupportedOpError(
                f"node {node_label(step)!r} ({step.domain or 'ai.onnx'}::{step.op_type}) has no native lowering for "
                "its types and attributes; without strict it runs on the Python fallback"
            )
        else:
            steps.append(python_step(step, info))
    compiled = CompiledModel(
        tuple(ValueSpec(v.name, v.type, v.dtype, v.shape) for v in model.inputs)
        + tuple(ValueSpec(v.name, v.type, v.dtype, v.shape, True) for v in model.optional_inputs),
        tuple(ValueSpec(v.name, v.type, v.dtype, v.shape) for v in model.outputs),
        steps,
        _constants(graph, steps),
        kernels=kernels,
    )
    texts = [kernel_text(kernel, target) for kernel in kernels.values()]
    texts += [step.driver_text for step in steps if isinstance(step, CompiledRegion)]
    report("compiling kernels", 0, len(texts))
    processes = min(default_threads(), os.cpu_count() or 1)
    compiled.objects = compile_all(texts, target, processes, lambda done: report("compiling kernels", done, len(texts)))
    return compiled


def _constants(graph: ir.Graph, steps: Sequence[CompiledRegion | HostStep]) -> dict[str, Any]:
    """Initializers that host steps read, that are outputs of the model, or defaults of its inputs."""
    wanted = {name for step in steps if isinstance(step, HostStep) for name in step.inputs}
    wanted |= {value.name or "" for value in [*graph.inputs, *graph.outputs]}
    return {
        name: value.const_value.numpy()
        for name, value in graph.initializers.items()
        if name in wanted and value.const_value is not None
    }


def _compile_region(space: Workspace, number: int, kernels: dict[str, Kernel]) -> CompiledRegion:
    nodes, info, target = space.region, space.info, space.target
    for call in [*space.calls, *space.prepare_calls]:
        kernels.setdefault(symbol_name(call.kernel, target), call.kernel)
    names, sources = _bind_symbols(nodes, info)
    checks = _checks(nodes, info, set(names))
    driver = Driver(
        target,
        space.buffers,
        plan_memory(space.buffers, space.calls),
        names,
        [(a, b) for a, b, _ in checks],
        len(space.weights),
        len(nodes.inputs),
        space.prepared_sizes,
    )
    table = _SizeTable(driver, set(names))
    inputs = tuple(
        InputSpec(value.name or "", space.dtype(value), table.input_dims(info.of(value))) for value in nodes.inputs
    )
    outputs = tuple(
        OutputSpec(value.name or "", space.dtype(value), tuple(table.size(d) for d in space.shape(value)))
        for value in nodes.outputs
    )
    description = repr((space.calls, space.prepare_calls, names, inputs, outputs, number))
    name = f"sx_region_{hashlib.sha256(description.encode()).hexdigest()[:16]}"
    text = driver.emit(name, space.calls, space.prepare_calls)
    arena = driver.arena
    region = Region(
        name=name,
        inputs=inputs,
        outputs=outputs,
        symbols=tuple(sources),
        table_size=len(driver.table.entries),
        arena=Slot(driver.arena_position) if arena is None else arena,
        prepared=driver.prepared_bytes,
        weights=len(space.weights),
        calls=tuple(Call(call.kernel.name, (call.label,)) for call in space.calls),
        checks=tuple(message for _, _, message in checks),
        profiled=True,
        plan=f"{name}_plan",
        run=f"{name}_run",
        prepare=f"{name}_prepare" if space.prepare_calls else "",
        prepare_calls=len(space.prepare_calls),
    )
    return CompiledRegion(region, space.weights, space.calls, text)


def _bind_symbols(nodes: NodeRegion, info: GraphInfo) -> tuple[list[str], list[DimOf]]:
    """The size symbols that the inputs' shapes tell, and where each is read."""
    names: list[str] = []
    sources: list[DimOf] = []
    for place, value in enumerate(nodes.inputs):
        for axis, dim in enumerate(info.of(value).shape or ()):
            if isinstance(dim, Expr) and is_symbol(dim):
                name = next(iter(free_symbols(dim)))
                if name not in names:
                    names.append(name)
                    sources.append(DimOf(place, axis))
    return names, sources


def _checks(nodes: NodeRegion, info: GraphInfo, known: set[str]) -> list[tuple[Dim, Dim, str]]:
    """The run-time checks of a region's nodes whose sizes it knows, each once."""
    found: dict[tuple[Dim, Dim], str] = {}
    for node in nodes.nodes:
        for a, b, message in info.checks.get(node, ()):
            if free_symbols(a) | free_symbols(b) <= known:
                found.setdefault((a, b), message)
    return [(a, b, message) for (a, b), message in found.items()]


class _SizeTable:
    """Sizes of inputs and outputs as table positions."""

    def __init__(self, driver: Driver, known: set[str]) -> None:
        self.driver = driver
        self.known = known
        self.positions: dict[Dim, Slot] = {}

    def size(self, dim: Dim) -> Size:
        if isinstance(dim, int):
            return dim
        if dim not in self.positions:
            self.positions[dim] = Slot(self.driver.table.add(dim))
        return self.positions[dim]

    def input_dims(self, info: TensorInfo) -> tuple[Size | None, ...]:
        """What each size of an input must be; None where nothing is known that could be held against it."""
        return tuple(self.size(d) if free_symbols(d) <= self.known else None for d in info.shape or ())
