"""A model that has been read: its graph, where it came from and what its author says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir

from sardonyx.graph.source import Source
from sardonyx.graph.value_types import ValueInfo

__all__ = ["Metadata", "Model"]


@dataclass(frozen=True)
class Metadata:
    """What the file says about itself."""

    producer_name: str = ""
    producer_version: str = ""
    domain: str = ""
    version: int = 0
    description: str = ""
    graph_name: str = ""
    graph_description: str = ""
    custom: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """A graph in the newest opset, checked, with functions inlined.

    ``ir`` holds the graph; its initializers are read-only views of the mapped file. ``inputs`` and ``outputs`` are as
    the file declares them: ``inputs`` must be fed, ``optional_inputs`` have an initializer as their default. ``opsets``
    and ``ir_version`` are those of the file.
    """

    ir: onnx_ir.Model
    source: Source
    metadata: Metadata
    inputs: tuple[ValueInfo, ...]
    optional_inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    opsets: dict[str, int]
    ir_version: int

    @property
    def graph(self) -> onnx_ir.Graph:
        """The main graph."""
        return self.ir.graph

    @property
    def path(self) -> Path | None:
        """The file the model was read from, or None."""
        return self.source.path

    def content_hash(self) -> str:
        """See ``Source.content_hash``."""
        return self.source.content_hash()
