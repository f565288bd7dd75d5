"""A graph to a compiled model: steps, kernels, objects, and the plain data that the runtime needs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt
import onnx_ir as ir

from sardonyx.compiler.carriers import carried
from sardonyx.compiler.driver import Driver
from sardonyx.compiler.fallback import host_step, python_step
from sardonyx.compiler.late import late_step
from sardonyx.compiler.memory import plan_memory
from sardonyx.compiler.region import lower_region
from sardonyx.compiler.steps import Body, Branching, Late, Step, cut, is_constant, is_symbol, node_inputs
from sardonyx.compiler.steps import Region as NodeRegion
from sardonyx.compiler.workspace import Call as KernelCall
from sardonyx.compiler.workspace import Workspace
from sardonyx.errors import UnsupportedOpError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.model import Model
from sardonyx.kernels.spec import Kernel, kernel_text, symbol_name
from sardonyx.lang.worker import compile_all
from sardonyx.ops.base import Control
from sardonyx.ops.inference import GraphInfo, infer_graph, node_label
from sardonyx.ops.lowered import is_hosted
from sardonyx.ops.size_symbols import SizeSymbols
from sardonyx.runtime.late import LateStep
from sardonyx.runtime.processors import default_threads
from sardonyx.runtime.program import (
    Call,
    DimOf,
    ElementOf,
    HostStep,
    InputSpec,
    OutputSpec,
    Region,
    Size,
    Slot,
    SymbolSource,
    ValueSpec,
)
from sardonyx.symbols import Dim, Expr, free_symbols, symbol
from sardonyx.targets import Target

__all__ = ["CompiledBody", "CompiledControl", "CompiledModel", "CompiledRegion", "CompiledStep", "compile_graph"]

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
class CompiledBody:
    """A graph inside of a node. ``captured`` are the names of its inputs that come from around the node; they follow
    the graph's own."""

    inputs: tuple[str, ...]
    captured: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: list[CompiledStep]
    constants: dict[str, Any]


@dataclass
class CompiledControl:
    """A step that runs bodies; see ``runtime.control``."""

    name: str
    kernel: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, Any]
    bodies: list[CompiledBody]


CompiledStep: TypeAlias = "CompiledRegion | CompiledControl | HostStep | LateStep"


@dataclass
class CompiledModel:
    """Everything that a Program is made of. ``objects`` hold all kernels and drivers."""

    inputs: tuple[ValueSpec, ...]
    outputs: tuple[ValueSpec, ...]
    steps: list[CompiledStep]
    constants: dict[str, Any]
    regions: list[CompiledRegion]
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
    info = infer_graph(model.graph)
    compiler = _Compiler(info, target, strict, exact_convolution)
    steps = compiler.steps(cut(model.graph, info))
    compiled = CompiledModel(
        tuple(ValueSpec(v.name, v.type, v.dtype, v.shape) for v in model.inputs)
        + tuple(ValueSpec(v.name, v.type, v.dtype, v.shape, True) for v in model.optional_inputs),
        tuple(ValueSpec(v.name, v.type, v.dtype, v.shape) for v in model.outputs),
        steps,
        compiler.constants_of([*model.graph.inputs, *model.graph.outputs]),
        compiler.regions,
        kernels=compiler.kernels,
    )
    texts = [kernel_text(kernel, target) for kernel in compiled.kernels.values()]
    texts += [region.driver_text for region in compiled.regions]
    report("compiling kernels", 0, len(texts))
    processes = min(default_threads(), os.cpu_count() or 1)
    compiled.objects = compile_all(texts, target, processes, lambda done: report("compiling kernels", done, len(texts)))
    return compiled


class _Compiler:
    """Steps of graphs to compiled steps; ``regions`` and ``kernels`` are those of the model and of all bodies."""

    def __init__(self, info: GraphInfo, target: Target, strict: bool, exact_convolution: bool) -> None:
        self.info = info
        self.target = target
        self.strict = strict
        self.exact_convolution = exact_convolution
        self.regions: list[CompiledRegion] = []
        self.kernels: dict[str, Kernel] = {}
        self._constants: dict[str, Any] = {}

    def steps(self, steps: Sequence[Step]) -> list[CompiledStep]:
        return [self._step(step) for step in steps]

    def _step(self, step: Step) -> CompiledStep:
        if isinstance(step, NodeRegion):
            mapped, strings = carried(step, self.info)
            space = lower_region(step, mapped, self.target, self.exact_convolution)
            self.regions.append(_compile_region(space, self.info, strings, len(self.regions), self.kernels))
            return self.regions[-1]
        if isinstance(step, Branching):
            return self._control(step)
        if isinstance(step, Late):
            return late_step(step, self.info)
        for value in node_inputs(step):
            self._keep(value)
        if is_hosted(step, self.info):
            return host_step(step, self.info)
        if self.strict:
            raise UnsupportedOpError(
                f"node {node_label(step)!r} ({step.domain or 'ai.onnx'}::{step.op_type}) has no native lowering for "
                "its types and attributes; without strict it runs on the Python fallback"
            )
        return python_step(step, self.info)

    def _control(self, step: Branching) -> CompiledControl:
        node, info = step.node, self.info
        record = info.records[node]
        assert isinstance(record, Control)
        bodies = [self._body(body) for body in step.bodies]
        for value in node.inputs:
            self._keep(value)
        settings = record.settings(info.contexts[node], [info.of(value) for value in node.outputs])
        given = [_name(value) for value in node.inputs]
        captured = [name for name in map(_name, step.captured) if name not in given]
        outputs = tuple(map(_name, node.outputs))
        return CompiledControl(node_label(node), node.op_type, (*given, *captured), outputs, settings, bodies)

    def _body(self, body: Body) -> CompiledBody:
        around, self._constants = self._constants, {}
        steps = self.steps(body.steps)
        outputs = () if body.dead else tuple(map(_name, body.graph.outputs))
        constants = self.constants_of([] if body.dead else body.graph.outputs)
        self._constants = around
        captured = tuple(map(_name, body.captured))
        return CompiledBody(tuple(map(_name, body.graph.inputs)), captured, outputs, steps, constants)

    def _keep(self, value: ir.Value | None) -> None:
        """Notes an initializer that a step reads as an array."""
        if value is not None and value.const_value is not None and is_constant(value):
            self._constants[value.name or ""] = value.const_value.numpy()

    def constants_of(self, values: Sequence[ir.Value]) -> dict[str, Any]:
        """Initializers that the steps just compiled read, or that are among ``values`` (outputs, inputs by default)."""
        found = {v.name or "": v.const_value.numpy() for v in values if v.const_value is not None}
        return self._constants | found


def _name(value: ir.Value | None) -> str:
    return "" if value is None else value.name or ""


def _compile_region(
    space: Workspace, info: GraphInfo, strings: tuple[str, ...] | None, number: int, kernels: dict[str, Kernel]
) -> CompiledRegion:
    nodes, target = space.region, space.target
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
        info.symbols.definitions,
        any(isinstance(source, ElementOf) for source in sources),
    )
    table = _SizeTable(driver, info.symbols, set(names))
    inputs = tuple(
        InputSpec(value.name or "", info.dtype(value), table.input_dims(info.of(value))) for value in nodes.inputs
    )
    outputs = tuple(
        OutputSpec(
            value.name or "",
            info.dtype(value),
            tuple(table.size(d) for d in space.shape(value)),
            table.true_sizes(space, info.of(value)),
        )
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
        strings=strings,
        keys=space.keys,
    )
    return CompiledRegion(region, space.weights, space.calls, text)


def _bind_symbols(nodes: NodeRegion, info: GraphInfo) -> tuple[list[str], list[SymbolSource]]:
    """The size symbols that the inputs tell, by their shapes or by elements that are needed, and where each is read."""
    names: list[str] = []
    sources: list[SymbolSource] = []
    for place, value in enumerate(nodes.inputs):
        for axis, dim in enumerate(info.of(value).shape or ()):
            if isinstance(dim, Expr) and is_symbol(dim):
                name = next(iter(free_symbols(dim)))
                if name not in names:
                    names.append(name)
                    sources.append(DimOf(place, axis))
        for name in info.symbols.elements_of(value):
            if name in nodes.sizes:
                element = info.symbols.elements[name]
                names.append(name)
                sources.append(ElementOf(place, element.index, element.negative))
    return names, sources


def _checks(nodes: NodeRegion, info: GraphInfo, known: set[str]) -> list[tuple[Dim, Dim, str]]:
    """The run-time checks of a region's nodes whose sizes it knows, each once."""
    found: dict[tuple[Dim, Dim], str] = {}
    for node in nodes.nodes:
        for a, b, message in info.checks.get(node, ()):
            if info.symbols.base([a, b], known) <= known:
                found.setdefault((a, b), message)
    return [(a, b, message) for (a, b), message in found.items()]


class _SizeTable:
    """Sizes of inputs and outputs as table positions."""

    def __init__(self, driver: Driver, symbols: SizeSymbols, known: set[str]) -> None:
        self.driver = driver
        self.symbols = symbols
        self.known = known
        self.positions: dict[Dim, Slot] = {}

    def size(self, dim: Dim) -> Size:
        if isinstance(dim, int):
            return dim
        if dim not in self.positions:
            self.positions[dim] = Slot(self.driver.table.add(dim))
        return self.positions[dim]

    def true_sizes(self, space: Workspace, info: TensorInfo) -> tuple[int, ...] | None:
        """Where a run leaves the sizes of an output that its kernels count; None for any other output."""
        shape = info.shape or ()
        counts: dict[Dim, int] = {symbol(name): counter.buffer for name, counter in space.counters.items()}
        if not any(size in counts for size in shape):
            return None
        return tuple(
            self.driver.counts[space.buffers[counts[size]].place] if size in counts else self.driver.table.add(size)
            for size in shape
        )

    def input_dims(self, info: TensorInfo) -> tuple[Size | None, ...]:
        """What each size of an input must be; None where nothing is known that could be held against it."""
        return tuple(
            self.size(d) if self.symbols.base([d], self.known) <= self.known else None for d in info.shape or ()
        )
