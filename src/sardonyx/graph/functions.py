"""Model-local functions: found by name, checked against recursion and against growing beyond bounds once inlined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from sardonyx.errors import InvalidModelError, ModelTooLargeError
from sardonyx.graph.emit import checked_text, shorten
from sardonyx.graph.order import subgraphs
from sardonyx.graph.schema import normalize_domain

__all__ = ["MAX_INLINED", "MAX_NESTING", "FunctionTable"]

MAX_INLINED = 100_000
"""Nodes that inlining may add to those of the file: some ten seconds of building and 400 MB."""

MAX_NESTING = 100
"""Levels of function calls and nested graphs, one inside the other."""

Key = tuple[str, str, str]


class FunctionTable:
    """The functions of a model by (domain, name, overload)."""

    def __init__(self, functions: Sequence[onnx.FunctionProto] = ()) -> None:
        self._functions: dict[Key, onnx.FunctionProto] = {}
        for function in functions:
            domain, name, overload = map(checked_text, (function.domain, function.name, function.overload))
            key = (normalize_domain(domain), name, overload)
            if not function.name or key in self._functions:
                raise InvalidModelError(f"two functions are called {_spell(key)}, or one has no name")
            self._functions[key] = function

    def find(self, node: onnx.NodeProto) -> onnx.FunctionProto | None:
        """The function that a node calls, or None for an operator."""
        return self._functions.get(_key(node))

    def check_size(self, graph: onnx.GraphProto) -> None:
        """Raise unless inlining adds at most ``MAX_INLINED`` nodes and stays within ``MAX_NESTING`` levels.

        Raises InvalidModelError for a function that calls itself and ModelTooLargeError for one that grows too large.
        """
        sizes: dict[Key, tuple[int, int]] = {}
        for key in self._callees_first(graph.node):
            sizes[key] = _extent(self._functions[key].node, sizes)
        count, depth = _extent(graph.node, sizes)
        added = count - _extent(graph.node, {})[0]
        if added > MAX_INLINED:
            raise ModelTooLargeError(f"inlining the functions would add {added} nodes; at most {MAX_INLINED} may be")
        if depth > MAX_NESTING:
            raise ModelTooLargeError(f"functions and nested graphs are {depth} levels deep; at most {MAX_NESTING}")

    def _callees_first(self, roots: Iterable[onnx.NodeProto]) -> list[Key]:
        """The functions reachable from ``roots``, each after those it calls."""
        done: dict[Key, bool] = {}  # False while its own calls are being followed
        order: list[Key] = []
        stack = [(key, False) for key in self._calls(roots)]
        while stack:
            key, finished = stack.pop()
            if finished:
                done[key] = True
                order.append(key)
            elif key not in done:
                done[key] = False
                stack.append((key, True))
                for callee in self._calls(self._functions[key].node):
                    if done.get(callee) is False:
                        raise InvalidModelError(f"the function {_spell(callee)} calls itself")
                    stack.append((callee, False))
        return order

    def _calls(self, nodes: Iterable[onnx.NodeProto]) -> set[Key]:
        found: set[Key] = set()
        for node in nodes:
            if (key := _key(node)) in self._functions:
                found.add(key)
            for graph in subgraphs(node):
                found |= self._calls(graph.node)
        return found


def _extent(nodes: Iterable[onnx.NodeProto], sizes: dict[Key, tuple[int, int]]) -> tuple[int, int]:
    """The number of nodes and the depth of levels after inlining, given those of the functions."""
    count = depth = 0
    for node in nodes:
        parts = [sizes[_key(node)]] if _key(node) in sizes else []
        parts += [_extent(graph.node, sizes) for graph in subgraphs(node)]
        count += 1 + sum(part[0] for part in parts)
        depth = max(depth, *(part[1] for part in parts), 0) if parts else depth
    return count, depth + 1


def _key(node: onnx.NodeProto) -> Key:
    return normalize_domain(node.domain), node.op_type, node.overload


def _spell(key: Key) -> str:
    return shorten(f"{key[0]}::{key[1]}" + (f":{key[2]}" if key[2] else ""))
