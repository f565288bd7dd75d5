"""A compiled model as a cache entry, and back. Imports neither onnx nor onnx_ir.

Object code is kept as it is. A weight that is a view of the model's files is kept as (file, offset), so that an entry
does not repeat the model; what the passes computed is kept in full.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.runtime.address import address_of
from sardonyx.runtime.control import body_program, control_step
from sardonyx.runtime.late import Form, LateStep
from sardonyx.runtime.program import (
    ControlStep,
    HostStep,
    NativeCode,
    NativeStep,
    Program,
    PythonStep,
    Region,
    Step,
    ValueSpec,
)
from sardonyx.runtime.texts import native_step

if TYPE_CHECKING:
    from sardonyx.graph import Source

__all__ = ["read_program", "write_program"]

_MODEL_FILE = ""


def write_program(program: Program, source: Source) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The header and blobs of an entry for a program; None when a value in it cannot be kept (a constant sequence)."""
    files, blobs = _Files(source), _Blobs()
    try:
        parts = _program_out(program, files, blobs)
    except TypeError:
        return None
    codes = {id(step.code): step.code for step in program.native_steps}
    for code in codes.values():
        for object_ in code.objects:
            blobs.add(object_, "object")
    header = {
        "inputs": [_spec_out(spec) for spec in program.inputs],
        "outputs": [_spec_out(spec) for spec in program.outputs],
        "metadata": dict(program.metadata),
    }
    return header | parts, blobs.items


def read_program(header: Mapping[str, Any], blobs: Mapping[str, memoryview], source: Source) -> Program:
    """The program of an entry; raises KeyError, TypeError, ValueError or RuntimeError when the entry makes no sense."""
    from sardonyx.compiler.load import link_regions

    regions = [Region.from_json(data) for data in _regions(header)]
    objects = [bytes(blob) for name, blob in blobs.items() if name.startswith("object")]
    code = link_regions(regions, objects) if regions else NativeCode((), {}, None)
    reader = _Reader(_Files(source), blobs, code, {region.name: region for region in regions})
    return Program(
        tuple(_spec_in(data) for data in header["inputs"]),
        tuple(_spec_in(data) for data in header["outputs"]),
        reader.steps(header),
        reader.constants(header),
        header["metadata"],
    )


def _regions(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The regions of a program's data, those of bodies too."""
    for step in data["steps"]:
        if "region" in step:
            yield step["region"]
        for body in step.get("bodies", ()):
            yield from _regions(body)


@dataclass(frozen=True)
class _Reader:
    """Steps and constants of a program, or of a body, from their data."""

    files: _Files
    blobs: Mapping[str, memoryview]
    code: NativeCode
    regions: Mapping[str, Region]

    def constants(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _array_in(value, self.files, self.blobs) for name, value in data["constants"].items()}

    def steps(self, data: Mapping[str, Any]) -> tuple[Step, ...]:
        return tuple(map(self._step, data["steps"]))

    def _step(self, data: Mapping[str, Any]) -> Step:
        if "region" in data:
            weights = [_array_in(weight, self.files, self.blobs) for weight in data["weights"]]
            return native_step(self.regions[data["region"]["name"]], self.code, weights)
        if "bodies" in data:
            bodies = [self._body(body) for body in data["bodies"]]
            return control_step(data["kernel"], data["name"], data["inputs"], data["outputs"], bodies, data["settings"])
        if "late" in data:
            recipe = bytes(self.blobs[data["late"]])
            return LateStep(data["name"], data["inputs"], data["outputs"], recipe, _with_forms, data["counted"])
        return _host_in(data, self.blobs)

    def _body(self, data: Mapping[str, Any]) -> Program:
        names = data["inputs"], data["captured"], data["outputs"]
        return body_program(*names, self.steps(data), self.constants(data))


class _Blobs:
    """Bytes under names that are made up as they come."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def add(self, data: Any, kind: str) -> str:
        name = f"{kind}{len(self.items)}"
        self.items[name] = data
        return name


class _Files:
    """The mapped files of a model and where they lie in memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._arrays: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, location: str) -> npt.NDArray[np.uint8]:
        """The bytes of one file."""
        if location not in self._arrays:
            data = self._source.data if location == _MODEL_FILE else self._source.external.open(location)[0]
            self._arrays[location] = np.frombuffer(data, np.uint8)
        return self._arrays[location]

    def find(self, array: npt.NDArray[Any]) -> tuple[str, int] | None:
        """The file and offset where a C-contiguous array lies, or None when it lies elsewhere."""
        begin = address_of(array)
        for location in (_MODEL_FILE, *self._source.locations):
            whole = self.array(location)
            start = address_of(whole)
            if start <= begin and begin + array.nbytes <= start + whole.nbytes:
                return location, begin - start
        return None


def _array_out(value: Any, files: _Files, blobs: _Blobs) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a constant {type(value).__name__} cannot be kept")
    if value.dtype.kind in "OSUT":
        return {"strings": [str(item) for item in value.reshape(-1).tolist()], "shape": value.shape}
    array = np.ascontiguousarray(value).reshape(value.shape)
    data: dict[str, Any] = {"dtype": dtypes.from_numpy(array.dtype).name, "shape": array.shape}
    place = files.find(array) if array.nbytes else None
    if place is not None:
        return data | {"file": place[0], "offset": place[1]}
    return data | {"blob": blobs.add(array.reshape(-1).view(np.uint8).data, "array")}


def _array_in(data: Mapping[str, Any], files: _Files, blobs: Mapping[str, memoryview]) -> npt.NDArray[Any]:
    shape = tuple(data["shape"])
    if "strings" in data:
        strings = np.empty(len(data["strings"]), object)
        strings[:] = data["strings"]
        return strings.reshape(shape)
    dtype = dtypes.from_name(data["dtype"]).numpy
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if "blob" in data:
        raw, offset = np.frombuffer(blobs[data["blob"]], np.uint8), 0
    else:
        raw, offset = files.array(data["file"]), data["offset"]
    if not 0 <= offset <= offset + size <= raw.nbytes:
        raise ValueError("a weight lies outside its file")
    return raw[offset : offset + size].view(dtype).reshape(shape)


def _program_out(program: Program, files: _Files, blobs: _Blobs) -> dict[str, Any]:
    return {
        "steps": [_step_out(step, files, blobs) for step in program.steps],
        "constants": {name: _array_out(value, files, blobs) for name, value in program.constants.items()},
    }


def _body_out(body: Program, files: _Files, blobs: _Blobs) -> dict[str, Any]:
    names = [spec.name for spec in body.inputs]
    return _program_out(body, files, blobs) | {
        "inputs": names[: len(names) - len(body.captured)],
        "captured": body.captured,
        "outputs": [spec.name for spec in body.outputs],
    }


def _step_out(step: Step, files: _Files, blobs: _Blobs) -> dict[str, Any]:
    if isinstance(step, NativeStep):
        weights = [_array_out(weight, files, blobs) for weight in step.weights]
        return {"region": step.region.to_json(), "weights": weights}
    if isinstance(step, LateStep):
        recipe = blobs.add(step.recipe, "late")
        names = {"name": step.name, "inputs": step.inputs, "outputs": step.outputs, "counted": step.counted}
        return {"late": recipe, **names}
    if isinstance(step, ControlStep):
        return {
            "name": step.name,
            "kernel": step.kernel,
            "inputs": step.inputs,
            "outputs": step.outputs,
            "settings": dict(step.settings),
            "bodies": [_body_out(body, files, blobs) for body in step.bodies],
        }
    return {
        "python": isinstance(step, PythonStep),
        "name": step.name,
        "kernel": step.kernel,
        "inputs": step.inputs,
        "outputs": step.outputs,
        "recipe": blobs.add(step.recipe, "recipe"),
    }


def _with_forms(recipe: bytes, forms: tuple[Form, ...]) -> bytes:
    from sardonyx.compiler.late import with_forms  # when it is needed: it imports onnx

    return with_forms(recipe, forms)


def _host_in(data: Mapping[str, Any], blobs: Mapping[str, memoryview]) -> HostStep:
    recipe, python = bytes(blobs[data["recipe"]]), bool(data["python"])

    @functools.cache
    def function() -> Callable[[Sequence[Any]], Sequence[Any]]:
        from sardonyx.compiler.fallback import host_function, reference_function  # at the first run: it needs onnx

        return reference_function(recipe) if python else host_function(recipe)

    def run(values: Sequence[Any]) -> Sequence[Any]:
        return function()(values)

    kind = PythonStep if python else HostStep
    return kind(data["name"], data["kernel"], tuple(data["inputs"]), tuple(data["outputs"]), run, recipe)


def _spec_out(spec: ValueSpec) -> list[Any]:
    return [spec.name, spec.type, spec.dtype and spec.dtype.name, spec.shape, spec.overridable]


def _spec_in(data: Sequence[Any]) -> ValueSpec:
    name, type_, dtype, shape, overridable = data
    return ValueSpec(
        name, type_, dtype and dtypes.from_name(dtype), None if shape is None else tuple(shape), overridable
    )
