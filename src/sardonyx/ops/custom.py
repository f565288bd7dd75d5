"""Operators of the user's own, as Python functions on numpy arrays; see ``docs/custom-operators.md``."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.ops import registry
from sardonyx.ops.base import InferContext, Op
from sardonyx.symbols import Dim, Expr, symbol

__all__ = ["PythonOperator", "register_operator", "unregister_operator"]

Function = TypeVar("Function", bound=Callable[..., Any])


class PythonOperator(Op):
    """A node that a Python function computes. Its fields are the function's keyword-only parameters."""

    function: ClassVar[Callable[..., Any]]
    types: ClassVar[Callable[..., Any] | None] = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo] | None:
        if type(self).types is None:
            return None
        return [self._info(ctx, dtype, shape) for dtype, shape in self._promised(ctx.inputs)]

    def _promised(self, inputs: Sequence[TensorInfo | None]) -> list[tuple[DType, tuple[Any, ...]]]:
        """What the user's ``infer`` says: dtype and shape of each output."""
        types = type(self).types
        assert types is not None
        told = types(*inputs, **self._attributes())
        pairs = [told] if isinstance(told, tuple) else list(told)
        return [(_dtype(dtype), tuple(shape)) for dtype, shape in pairs]

    @staticmethod
    def _info(ctx: InferContext, dtype: DType, shape: tuple[Any, ...]) -> TensorInfo:
        sizes: list[Dim] = []
        for axis, size in enumerate(shape):
            if size is None:
                sizes.append(ctx.fresh(f"{ctx.node}_{axis}"))
            elif isinstance(size, str):
                sizes.append(symbol(size))
            elif isinstance(size, Expr | int):
                sizes.append(size)
            else:
                ctx.fail(f"its infer function gave the size {size!r} along axis {axis}")
        return TensorInfo(dtype, tuple(sizes))

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        given = [_read_only(value) for value in values]
        result = type(self).function(*given, **self._attributes())
        results = [_value(item) for item in (result if isinstance(result, tuple) else (result,))]
        if type(self).types is not None:
            self._check(values, results)
        return [_own(item, given) for item in results]

    def _check(self, values: Sequence[Any], results: Sequence[Any]) -> None:
        """Results against what the user's ``infer`` says of these inputs: compiled code relies on it."""
        inputs = [
            TensorInfo.of_array(v, dtypes.from_numpy(v.dtype)) if isinstance(v, np.ndarray) else None for v in values
        ]
        for number, (result, (dtype, shape)) in enumerate(zip(results, self._promised(inputs), strict=False)):
            fits = (
                isinstance(result, np.ndarray)
                and dtypes.from_numpy(result.dtype) is dtype
                and len(shape) == result.ndim
                and all(not isinstance(want, int) or want == got for want, got in zip(shape, result.shape, strict=True))
            )
            if not fits:
                got = f"{result.dtype} {list(result.shape)}" if isinstance(result, np.ndarray) else type(result)
                raise ValueError(f"output {number} is {got}, but its infer function says {dtype} {list(shape)}")

    def _attributes(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


@typing.overload
def register_operator(
    name: str, domain: str, function: None = None, *, infer: Callable[..., Any] | None = None
) -> Callable[[Function], Function]: ...


@typing.overload
def register_operator(
    name: str, domain: str, function: Function, *, infer: Callable[..., Any] | None = None
) -> Function: ...


def register_operator(name: str, domain: str, function: Any = None, *, infer: Callable[..., Any] | None = None) -> Any:
    """Makes a Python function the meaning of the operator ``domain::name``, in this process; also a decorator.

    The function takes the node's inputs as read-only numpy arrays (None: omitted; lists for sequences, dicts for maps)
    and its attributes as keyword-only parameters: one without a default is required, and an annotation (int, float,
    str, a tuple of those, numpy.ndarray) is checked. It returns an array, or a tuple of one value per output, and must
    depend on nothing else: equal nodes are computed once, unused ones never.

    ``infer`` takes the inputs' ``TensorInfo`` (``dtype``, ``shape``) and the attributes and gives (dtype, shape) for
    the output, or a list of them; a size is a number, one of the inputs' sizes, a name, or None. It lets what follows
    the node be compiled; without it only the types that the model declares are known. A result that breaks its promise
    raises ExecutionError, as does any exception of the function, naming the node.

    Registering again replaces; raises ValueError for an operator that sardonyx itself has and for a function whose
    parameters cannot be attributes. Models that use such operators bypass the cache.
    """
    if function is None:
        return lambda made: register_operator(name, domain, made, infer=infer)
    fields = _fields(function)
    namespace = {
        "__module__": registry.USER_MODULE,
        "__doc__": function.__doc__,
        "__annotations__": {field: hint for field, hint, _ in fields},
        "function": staticmethod(function),
        "types": None if infer is None else staticmethod(infer),
        **{field: default for field, _, default in fields if default is not inspect.Parameter.empty},
    }
    registry.op(name, domain)(type(name, (PythonOperator,), namespace))
    return function


def unregister_operator(name: str, domain: str) -> None:
    """Forgets an operator of the user's; raises KeyError where there is none."""
    registry.forget(name, domain)


def _fields(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    hints = typing.get_type_hints(function)
    fields: list[tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            raise ValueError(f"**{parameter.name}: every attribute must be a parameter of its own")
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        hint = hints.get(parameter.name, object)
        if not _is_attribute_type(hint):
            raise ValueError(f"{parameter.name}: {hint} is no type of an attribute; expected int, float, str, a tuple")
        fields.append((parameter.name, hint, parameter.default))
    # a dataclass wants the fields without default first; the function takes them by name
    return sorted(fields, key=lambda entry: entry[2] is not inspect.Parameter.empty)


def _is_attribute_type(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return all(_is_attribute_type(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return all(part in (int, float, str, ...) for part in typing.get_args(hint))
    return typing.get_origin(hint) is np.ndarray or hint in (int, float, str, object, np.ndarray, type(None))


def _dtype(given: Any) -> DType:
    if isinstance(given, DType):
        return given
    try:
        return dtypes.from_name(given) if isinstance(given, str) else dtypes.from_numpy(np.dtype(given))
    except (KeyError, TypeError):
        raise ValueError(f"an infer function gave the dtype {given!r}, which ONNX does not have") from None


def _read_only(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _value(item: Any) -> Any:
    return item if item is None or isinstance(item, np.ndarray | list | dict) else np.asarray(item)


def _own(item: Any, given: Sequence[Any]) -> Any:
    """A result that is no other look at an input's memory."""
    if isinstance(item, np.ndarray) and any(
        isinstance(value, np.ndarray) and np.may_share_memory(item, value) for value in given
    ):
        copied: npt.NDArray[Any] = item.copy()
        return copied
    return item
