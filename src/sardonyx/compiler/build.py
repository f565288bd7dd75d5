"""The door of the compiler: a model's source in, a Program out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sardonyx.compiler.compile import CompiledControl, CompiledModel, CompiledRegion, CompiledStep, compile_graph
from sardonyx.compiler.load import link_regions
from sardonyx.compiler.saving import save_model
from sardonyx.errors import InvalidModelError
from sardonyx.graph.model import Model
from sardonyx.graph.reader import read_model
from sardonyx.graph.source import ModelSource, Source
from sardonyx.lang.host import host_target
from sardonyx.ops.inference import fix_dimensions
from sardonyx.ops.registry import foreign_operators
from sardonyx.options import SessionOptions
from sardonyx.passes.pipeline import optimise
from sardonyx.runtime.control import body_program, control_step
from sardonyx.runtime.late import LateStep
from sardonyx.runtime.program import NativeCode, Program, Step
from sardonyx.runtime.texts import native_step

__all__ = ["compile_model", "link", "optimised_model"]


def compile_model(source: ModelSource | Source | Model, options: SessionOptions | None = None) -> Program:
    """Reads, optimises and compiles a model.

    Raises InvalidModelError for a broken model and UnsupportedOpError for what cannot be run (under
    ``options.strict`` also for what would need the Python fallback).
    """
    options = options or SessionOptions()
    model = optimised_model(source, options)
    if options.optimized_model_filepath:
        save_model(model, options.optimized_model_filepath, *_external_file(options))
    compiled = compile_graph(
        model,
        host_target(),
        strict=options.strict,
        exact_convolution=options.exact_convolution,
        on_progress=options.report,
    )
    program = link(compiled, asdict(model.metadata))
    for step in program.all_steps():
        if isinstance(step, LateStep):
            step.opener = lambda part: compile_model(part, options.for_part())
    return program


def _external_file(options: SessionOptions) -> tuple[str, int]:
    """The file for the weights of a saved model, and the fewest bytes that go there: ONNX Runtime's settings."""
    key = "session.optimized_model_external_initializers"
    name, size = f"{key}_file_name", f"{key}_min_size_in_bytes"
    file = options.get_session_config_entry(name) if options.has_session_config_entry(name) else ""
    return file, int(options.get_session_config_entry(size)) if options.has_session_config_entry(size) else 1024


def optimised_model(source: ModelSource | Source | Model, options: SessionOptions) -> Model:
    """Reads a model and runs the passes of the options' level on it."""
    report = options.report
    report("reading the model", 0, 1)
    model = source if isinstance(source, Model) else _read(source, options)
    fix_dimensions(model, options.free_dimensions, options.denoted_dimensions)
    optimise(model, level=int(options.graph_optimization_level), disabled=options.disabled_passes, on_progress=report)
    return model


def _read(source: ModelSource | Source, options: SessionOptions) -> Model:
    supplied = options.supplied
    model = read_model(source, custom_ops=foreign_operators(), supplied=supplied.initializers)
    unknown = sorted(supplied.required - model.graph.initializers.keys())
    if unknown:
        raise InvalidModelError(f"there is no initializer {unknown[0]!r}, for which a value was supplied")
    return model


def link(compiled: CompiledModel, metadata: dict[str, Any]) -> Program:
    """Loads the code of a compiled model and puts its steps together."""
    regions = [region.region for region in compiled.regions]
    code = link_regions(regions, compiled.objects) if regions else NativeCode((), {}, None)
    steps = _linked(compiled.steps, code)
    return Program(compiled.inputs, compiled.outputs, steps, compiled.constants, metadata)


def _linked(steps: Sequence[CompiledStep], code: NativeCode) -> tuple[Step, ...]:
    return tuple(_linked_step(step, code) for step in steps)


def _linked_step(step: CompiledStep, code: NativeCode) -> Step:
    if isinstance(step, CompiledRegion):
        return native_step(step.region, code, step.weights)
    if isinstance(step, CompiledControl):
        bodies = [
            body_program(body.inputs, body.captured, body.outputs, _linked(body.steps, code), body.constants)
            for body in step.bodies
        ]
        return control_step(step.kernel, step.name, step.inputs, step.outputs, bodies, step.settings)
    return step
