"""A graph under construction: columns as tensors of float64, as Spark computes."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sardonyx.errors import ConversionError

__all__ = ["INTEGERS", "NUMBERS", "TEXTS", "TOKENS", "Column", "Graph", "Origin"]

NUMBERS, INTEGERS, TEXTS, TOKENS = "numbers", "integers", "texts", "tokens"
_OPSETS = {"": 20, "ai.onnx.ml": 5}
_ELEMENTS = {
    "double": TensorProto.DOUBLE,
    "float": TensorProto.FLOAT,
    "int": TensorProto.INT32,
    "long": TensorProto.INT64,
    "string": TensorProto.STRING,
}
_BATCH = "batch"


@dataclass(frozen=True)
class Origin:
    """Where a number comes from: ``position`` of an input, of which it is ``(value - shift) * scale``."""

    source: str
    position: int
    shift: float = 0.0
    scale: float = 1.0

    def back(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of the input for values of this number."""
        return values / self.scale + self.shift


@dataclass
class Column:
    """A tensor of shape (rows, width): float64, int64 (``integers``), or strings (``tokens``: padded with empty
    ones). ``origins`` say where each number comes from, where that is known. Of tokens, ``text`` is the input that
    they are words of, and ``left_out`` are words that count for nothing."""

    tensor: str
    width: int
    kind: str = NUMBERS
    origins: list[Origin | None] = field(default_factory=list)
    text: str = ""
    left_out: frozenset[str] = frozenset()


class Graph:
    """Nodes, constants, and the columns so far. ``known`` collects values that matter, ``splits`` those with which
    trees compare, both by input and position; ``words`` are strings that matter, by input, of which those in
    ``vocabularies`` are single words of texts; ``missing`` are inputs that may hold NaN unless they
    are ``strict``; outside of ``bounds`` Spark refuses a value. ``exact`` says that all is in float64."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.notes: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.vocabularies: set[str] = set()
        self.bounds: dict[tuple[str, int], tuple[float, float]] = {}
        self.strict: set[str] = set()
        self.missing: set[str] = set()
        self.known: dict[tuple[str, int], list[npt.NDArray[np.float64]]] = defaultdict(list)
        self.splits: dict[tuple[str, int], list[npt.NDArray[np.float64]]] = defaultdict(list)
        self.exact = True
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.widths: dict[str, int] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._taken: set[str] = set()

    def input(self, name: str, kind: str) -> None:
        """Declares an input column."""
        found = re.fullmatch(r"vector\[(\d+)\]", kind)
        width = int(found[1]) if found else 1
        element = TensorProto.DOUBLE if found else _ELEMENTS[kind]
        self._inputs.append(helper.make_tensor_value_info(name, element, [_BATCH, width]))
        self._taken.add(name)
        self.widths[name] = width
        if kind == "string":
            self.columns[name] = Column(name, 1, TEXTS)
            return
        tensor = name if element == TensorProto.DOUBLE else self.emit("Cast", [name], to=TensorProto.DOUBLE)
        self.columns[name] = Column(tensor, width, NUMBERS, [Origin(name, i) for i in range(width)])

    def reserve(self, name: str) -> None:
        """Keeps a name for an output."""
        self._taken.add(name)

    def emit(self, kind: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        """Adds a node; gives its one output."""
        output = self.name(kind.lower())
        self.node(kind, inputs, [output], domain, **attributes)
        return output

    def node(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> None:
        """Adds a node with the outputs' names."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, outputs[0], domain=domain, **attributes))

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        number = len(self._taken)
        while f"{wish}_{number}" in self._taken:
            number += 1
        self._taken.add(f"{wish}_{number}")
        return f"{wish}_{number}"

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """Adds an initializer."""
        tensor = self.name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), tensor))
        return tensor

    def numbers(self, name: str) -> Column:
        """A column of numbers, as float64."""
        column = self.columns[name]
        if column.kind == INTEGERS:
            return Column(
                self.emit("Cast", [column.tensor], to=TensorProto.DOUBLE), column.width, NUMBERS, column.origins
            )
        if column.kind != NUMBERS:
            raise ConversionError(f"the column {name!r} holds {column.kind}, and a stage reads numbers from it")
        return column

    def add(self, name: str, tensor: str, width: int, kind: str = NUMBERS, origins: Any = None) -> None:
        """Adds a column."""
        self.columns[name] = Column(tensor, width, kind, list(origins) if origins else [None] * width)

    def know(self, column: Column, position: int, values: Any, *, splits: bool = False) -> None:
        """Tells of values that matter to a column."""
        origin = column.origins[position] if position < len(column.origins) else None
        if origin is None or not origin.scale:
            return
        array = np.asarray(values, np.float64).reshape(-1)
        back = origin.back(array[np.isfinite(array)])
        self.known[origin.source, origin.position].append(back)
        if splits:
            self.splits[origin.source, origin.position].append(back)

    def bound(self, column: Column, position: int, low: float, high: float) -> None:
        """Tells that a stage refuses other values of a column."""
        origin = column.origins[position] if position < len(column.origins) else None
        if origin is not None and origin.scale > 0:
            ends = origin.back(np.asarray([low, high]))
            before = self.bounds.get((origin.source, origin.position), (-np.inf, np.inf))
            self.bounds[origin.source, origin.position] = max(ends[0], before[0]), min(ends[1], before[1])

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """The finished model: numbers of width 1 come out as (rows), vectors as (rows, width)."""
        made = []
        for name in outputs:
            column = self.columns[name]
            element = {NUMBERS: TensorProto.DOUBLE, INTEGERS: TensorProto.INT64}.get(column.kind, TensorProto.STRING)
            scalar = column.width == 1
            shape: list[Any] = [_BATCH] if scalar else [_BATCH, column.width]
            if scalar:
                rows = self.constant([-1], np.int64)
                self.nodes.append(helper.make_node("Reshape", [column.tensor, rows], [name], f"give_{name}"))
            else:
                self.nodes.append(helper.make_node("Identity", [column.tensor], [name], f"give_{name}"))
            made.append(helper.make_tensor_value_info(name, element, shape))
        graph = helper.make_graph(self.nodes, "sparkml", self._inputs, made, self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)
