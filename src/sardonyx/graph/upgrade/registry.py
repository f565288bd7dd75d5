"""The upgrade of one node from the opset of its file to the newest one, step by step.

A step is a small function registered for an operator and the version it leads to: ``@upgrade("Squeeze", before=13)``
turns a Squeeze of an opset below 13 into one of opset 13. Versions that need no step are listed in ``compatible``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from sardonyx.errors import InvalidModelError
from sardonyx.graph.emit import Emitter, assign_output_types, describe, detach
from sardonyx.graph.schema import current_opset

__all__ = ["CannotUpgrade", "is_current", "steps", "upgrade", "upgrade_node"]

Step = Callable[[ir.Node, Emitter], "Sequence[ir.Value] | None"]
"""Edits the node in place and returns None, or emits nodes instead of it and returns the values of its outputs."""

_STEPS: dict[tuple[str, str], dict[int, Step]] = {}


class CannotUpgrade(Exception):
    """A node depends on something that the newest opset cannot say; it keeps its own opset."""


def upgrade(*names: str, before: int, domain: str = "") -> Callable[[Step], Step]:
    """Register a step that leads the operators ``names`` to version ``before`` of ``domain``."""

    def register(step: Step) -> Step:
        for name in names:
            versions = _STEPS.setdefault((domain, name), {})
            assert before not in versions, f"two steps lead {name} to version {before}"
            versions[before] = step
        return step

    return register


def steps(domain: str, name: str) -> dict[int, Step]:
    """The registered steps of an operator, by the version that each leads to."""
    return _STEPS.get((domain, name), {})


def is_current(node: ir.Node) -> bool:
    """Whether a node has the semantics of the newest opset; others must run as the version ``node.version`` says."""
    return node.version is None or node.version == current_opset(node.domain)


def upgrade_node(node: ir.Node, emitter: Emitter) -> Sequence[ir.Value]:
    """Append a node in its newest form; returns the values that stand for its outputs.

    The node belongs to no graph yet and its outputs have no uses. One that cannot be upgraded is appended as it is,
    with its opset in ``node.version``.
    """
    assign_output_types(node)
    original = (node.op_type, dict(node.attributes), tuple(node.inputs), node.version, len(emitter.nodes))
    try:
        while (step := _next_step(node)) is not None:
            before, function = step
            replacement = function(node, emitter)
            if replacement is not None:
                detach(node)
                return replacement
            node.version = before
        node.version = current_opset(node.domain)
    except CannotUpgrade:
        _restore(node, emitter, *original)
    except (IndexError, ValueError, TypeError) as error:
        raise InvalidModelError(f"{describe(node)} does not follow its specification: {error}") from error
    if node.version == original[3]:
        emitter.nodes.append(node)
    else:
        emitter.append(node)  # which infers types anew
    return node.outputs


def _next_step(node: ir.Node) -> tuple[int, Step] | None:
    version = node.version or current_opset(node.domain)
    ahead = [before for before in steps(node.domain, node.op_type) if before > version]
    return (min(ahead), steps(node.domain, node.op_type)[min(ahead)]) if ahead else None


def _restore(
    node: ir.Node,
    emitter: Emitter,
    op_type: str,
    attributes: dict[str, ir.Attr],
    inputs: tuple[ir.Value | None, ...],
    version: int | None,
    emitted: int,
) -> None:
    """Undo the steps that were taken before one could not be."""
    node.op_type, node.version = op_type, version
    node.attributes.clear()
    node.attributes.update(attributes)
    node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        node.replace_input_with(index, value)
    for added in emitter.nodes[emitted:]:
        detach(added)
    del emitter.nodes[emitted:]
