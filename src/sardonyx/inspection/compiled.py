"""A model's compilation, opened: each stage's result is computed when it is first asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_ir as ir

from sardonyx.compiler.memory import MemoryPlan, plan_memory
from sardonyx.compiler.region import lower_region
from sardonyx.compiler.steps import Branching, Late, Region, Step, cut, walk
from sardonyx.compiler.workspace import Buffer, Call, Workspace
from sardonyx.graph import Model, read_model
from sardonyx.inspection.records import BufferRecord, KernelRecord, PassRecord, StepRecord
from sardonyx.kernels.spec import Operand
from sardonyx.lang.host import host_target
from sardonyx.ops.custom import PythonOperator
from sardonyx.ops.inference import GraphInfo, infer_graph, node_label
from sardonyx.ops.lowered import is_hosted
from sardonyx.ops.registry import foreign_operators
from sardonyx.ops.registry import record as operator_record
from sardonyx.passes.pipeline import Pass, optimise
from sardonyx.passes.rewriting import Rewriter
from sardonyx.symbols import Dim, Expr, evaluate, free_symbols, symbol

__all__ = ["Inspection"]

# Buffers outside the arena have an address of their own.
OWN_MEMORY = ""


class Inspection:
    """Looks into how sardonyx compiles a model file.

    Raises InvalidModelError or UnsupportedOpError where the model cannot be read or compiled.
    """

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self.path = Path(model)
        self.target = host_target()
        self.model: Model = read_model(self.path, custom_ops=foreign_operators())
        self.summary = _summary(self.model)
        optimise(self.model)
        self.info: GraphInfo = infer_graph(self.model.graph)
        self._steps = list(walk(cut(self.model.graph, self.info)))

    # -- passes --------------------------------------------------------------------------------------------------

    @cached_property
    def passes(self) -> list[PassRecord]:
        """Every pass in order, on a graph that is read afresh."""
        model = read_model(self.path, custom_ops=foreign_operators())
        states = [(len(model.graph), str(model.graph))]
        done: list[Pass] = []

        def after(one: Pass, rewriter: Rewriter) -> None:
            done.append(one)
            states.append((len(model.graph), str(model.graph)))

        runs = optimise(model, after=after)
        return [
            PassRecord(one.name, one.reason, run.seconds, run.changes, *before, *now)
            for one, run, before, now in zip(done, runs, states, states[1:], strict=False)
        ]

    # -- steps ---------------------------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> list[StepRecord]:
        """The steps of the program: maximal native regions, control flow, each followed by the steps inside of it, and
        single nodes on Python objects."""
        return [replace(self._record(step), inside=inside) for step, inside in self._steps]

    def _record(self, step: Step) -> StepRecord:
        if isinstance(step, Region):
            operators = Counter(node.op_type for node in step.nodes)
            return StepRecord("native", tuple(map(_described, step.nodes)), dict(operators.most_common()))
        if isinstance(step, Branching):
            reason = "chooses between the steps inside of it, or repeats them"
            return StepRecord("control", (_described(step.node),), {step.node.op_type: 1}, reason)
        if isinstance(step, Late):
            operators = Counter(node.op_type for node in step.nodes)
            reason = "compiled when a run shows the ranks of its inputs"
            return StepRecord("late", tuple(map(_described, step.nodes)), dict(operators.most_common()), reason)
        return self._single(step)

    def _single(self, node: ir.Node) -> StepRecord:
        if is_hosted(node, self.info):
            own = isinstance(self.info.records[node], PythonOperator)
            reason = "a Python function is registered for it" if own else "its values are Python objects"
            return StepRecord("host", (_described(node),), {node.op_type: 1}, reason)
        inputs = [str(self.info.of(value).dtype) for value in node.inputs if value is not None]
        if operator_record(node.op_type, node.domain) is None:
            reason = f"no lowering for {node.domain or 'ai.onnx'}::{node.op_type}"
        else:
            reason = f"no lowering of {node.op_type} for these types, sizes or attributes ({', '.join(inputs)})"
        return StepRecord("python", (_described(node),), {node.op_type: 1}, reason)

    # -- kernels -------------------------------------------------------------------------------------------------

    @cached_property
    def _regions(self) -> list[tuple[int, Workspace]]:
        built = []
        for number, (step, _) in enumerate(self._steps):
            if isinstance(step, Region):
                built.append((number, lower_region(step, self.info, self.target)))
        return built

    def _calls(self) -> Iterator[tuple[int, Workspace, Call]]:
        return ((step, space, call) for step, space in self._regions for call in space.calls)

    @cached_property
    def kernels(self) -> list[KernelRecord]:
        """All kernel calls of a run, in order."""
        return [
            KernelRecord(
                index=index,
                step=step,
                name=call.kernel.name,
                nodes=call.label,
                operands=tuple(_operand_text(operand, space.buffers) for operand in call.operands),
                tasks=str(call.tasks),
                work=str(call.work),
                kernel=call.kernel,
                target=self.target,
            )
            for index, (step, space, call) in enumerate(self._calls())
        ]

    def work(self, feeds: Mapping[str, Any]) -> float:
        """Floating-point operations of one run on these inputs, as the kernels' authors count them.

        Work that depends on the inputs' contents is left out.
        """
        sizes = self._bind(feeds)
        return float(
            sum(evaluate(call.work, sizes) for _, _, call in self._calls() if free_symbols(call.work) <= sizes.keys())
        )

    def _bind(self, feeds: Mapping[str, Any]) -> dict[str, int]:
        """The values of the symbolic sizes for these inputs."""
        sizes: dict[str, int] = {}
        for value in self.model.graph.inputs:
            shape, given = self.info.of(value).shape, feeds.get(value.name or "")
            if shape is None or given is None:
                continue
            for dim, size in zip(shape, given.shape, strict=False):
                if isinstance(dim, Expr) and len(names := free_symbols(dim)) == 1 and dim == symbol(min(names)):
                    sizes[min(names)] = int(size)
        return sizes

    # -- memory --------------------------------------------------------------------------------------------------

    @cached_property
    def buffers(self) -> list[BufferRecord]:
        """The memory of every native step, with the calls that use it."""
        return [record for step, space in self._regions for record in _buffer_records(step, space)]


def _summary(model: Model) -> dict[str, Any]:
    """What the file is: versions, inputs and outputs, its size."""
    weights = [value.const_value for value in model.graph.initializers.values()]
    return {
        "producer": f"{model.metadata.producer_name} {model.metadata.producer_version}".strip(),
        "ir_version": model.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in model.opsets.items()},
        "inputs": [f"{value.name}: {value.type} {_sizes(value.shape)}" for value in model.inputs],
        "outputs": [f"{value.name}: {value.type} {_sizes(value.shape)}" for value in model.outputs],
        "nodes": len(model.graph),
        "parameters": sum(weight.size for weight in weights if weight is not None),
    }


def _buffer_records(step: int, space: Workspace) -> Iterator[BufferRecord]:
    plan = plan_memory(space.buffers, space.calls)
    users: dict[int, list[int]] = {}
    for number, call in enumerate(space.calls):
        for operand in call.operands:
            users.setdefault(operand.buffer, []).append(number)
    for number, buffer in enumerate(space.buffers):
        if number in users:
            offset = _offset(plan, number)
            yield BufferRecord(step, buffer.kind, str(buffer.size), offset, users[number][0], users[number][-1])


def _offset(plan: MemoryPlan, buffer: int) -> str:
    if buffer in plan.fixed:
        return str(plan.fixed[buffer])
    return f"slot {plan.slot_of[buffer]}" if buffer in plan.slot_of else OWN_MEMORY


def _operand_text(operand: Operand, buffers: list[Buffer]) -> str:
    buffer = buffers[operand.buffer]
    return f"{buffer.kind} {buffer.place}: {operand.dtype} {_sizes(operand.shape)} strides {_sizes(operand.strides)}"


def _sizes(shape: tuple[Dim | str | None, ...] | None) -> str:
    return "of unknown rank" if shape is None else f"[{', '.join('?' if s is None else str(s) for s in shape)}]"


def _described(node: ir.Node) -> str:
    return f"{node_label(node)} ({node.op_type})"
