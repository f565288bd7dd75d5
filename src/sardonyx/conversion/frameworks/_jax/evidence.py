"""Whose function is it? A function of JAX is a Python function; the names that its code uses say so."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["packages_of"]

_DEPTH = 3


def packages_of(value: Any) -> frozenset[str]:
    """Top-level packages of the modules, classes and objects that a callable's code refers to, looking through
    partials, wrappers, closures and the functions that it calls. Nothing is called or imported."""
    found: set[str] = set()
    seen: set[int] = set()
    _visit(value, found, seen, _DEPTH)
    return frozenset(found - {"builtins", "__main__"})


def _visit(value: Any, found: set[str], seen: set[int], depth: int) -> None:
    if id(value) in seen or depth < 0:
        return
    seen.add(id(value))
    if isinstance(value, types.ModuleType):
        found.add(_root(value.__name__))
        return
    kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
    found.update(_root(kind.__module__) for kind in kinds)
    for inner in _parts(value):
        _visit(inner, found, seen, depth - 1)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, functools.partial):
        yield value.func
        yield from value.args
        yield from value.keywords.values()
    elif isinstance(value, types.MethodType):
        yield value.__self__
        yield value.__func__
    elif isinstance(value, types.FunctionType):
        yield from _function_parts(value)
    elif not isinstance(value, type):
        yield from (kind.__dict__["__call__"] for kind in type(value).__mro__ if "__call__" in kind.__dict__)


def _function_parts(function: types.FunctionType) -> Iterator[Any]:
    if "__wrapped__" in vars(function):
        yield function.__wrapped__  # type: ignore[attr-defined]
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _root(module: str | None) -> str:
    return str(module or "").partition(".")[0]
