"""What a session tells about its model: inputs, outputs and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sardonyx.runtime.program import ValueSpec

__all__ = ["ModelMetadata", "NodeArg"]


@dataclass(frozen=True)
class NodeArg:
    """An input or output: its name, its type (``tensor(float)``), and its sizes, each a number, a name or None.

    The shape is empty for a scalar and for a value whose rank is not known, as in ONNX Runtime.
    """

    name: str
    type: str
    shape: list[int | str | None]

    def __str__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"

    @staticmethod
    def of(spec: ValueSpec) -> NodeArg:
        return NodeArg(spec.name, spec.type, list(spec.shape or ()))


@dataclass(frozen=True)
class ModelMetadata:
    """What the model's author wrote into the file."""

    producer_name: str = ""
    graph_name: str = ""
    domain: str = ""
    description: str = ""
    graph_description: str = ""
    version: int = 0
    custom_metadata_map: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(metadata: Mapping[str, Any]) -> ModelMetadata:
        """From a program's metadata (the fields of ``graph.Metadata``)."""
        return ModelMetadata(
            producer_name=metadata.get("producer_name", ""),
            graph_name=metadata.get("graph_name", ""),
            domain=metadata.get("domain", ""),
            description=metadata.get("description", ""),
            graph_description=metadata.get("graph_description", ""),
            version=metadata.get("version", 0),
            custom_metadata_map=dict(metadata.get("custom", {})),
        )
