"""The registry of operator records, and the decoding of nodes into them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from sardonyx.errors import InvalidModelError
from sardonyx.graph.schema import current_opset, current_opsets, find_schema
from sardonyx.ops.base import Op

__all__ = ["USER_MODULE", "decode", "foreign_operators", "forget", "op", "record", "records", "user_operators"]

T = TypeVar("T", bound=type[Op])
USER_MODULE = "<operators>"
"""The module of record classes that are made from the user's functions."""

_OURS = __name__.partition(".")[0] + "."
_records: dict[tuple[str, str], type[Op]] = {}


@typing.dataclass_transform(frozen_default=True)
def op(op_type: str, domain: str = "") -> Callable[[T], T]:
    """Registers a record class under its operator type; its annotated class attributes become frozen fields.

    Attribute types are int, float, str, tuples of those, ``str | None`` and so on; a field without a default is a
    required attribute. A field name that is a Python keyword carries a trailing underscore. A class of the user's may
    replace another one of theirs; raises ValueError where sardonyx has the operator itself.
    """

    def register(cls: T) -> T:
        key = (domain, op_type)
        if key in _records and not _is_users(_records[key]):
            raise ValueError(f"operator {domain or 'ai.onnx'}::{op_type} is registered twice")
        made = typing.cast(T, dataclasses.dataclass(frozen=True)(cls))
        made.op_type = op_type
        made.domain = domain
        _records[key] = made
        return made

    return register


def record(op_type: str, domain: str = "") -> type[Op] | None:
    """The record class of an operator, or None."""
    return _records.get((domain, op_type))


def foreign_operators() -> frozenset[tuple[str, str]]:
    """(domain, operator type) of the records that ONNX does not define: there is no schema to check their nodes by."""
    return frozenset(key for key in _records if not _is_standard(*key))


def user_operators() -> frozenset[tuple[str, str]]:
    """(domain, operator type) of the records that are not part of sardonyx."""
    return frozenset(key for key, cls in _records.items() if _is_users(cls))


def forget(op_type: str, domain: str) -> None:
    """Removes a record of the user's; raises KeyError where there is none."""
    if (domain, op_type) not in user_operators():
        raise KeyError(f"no operator {domain}::{op_type} was registered")
    del _records[domain, op_type]


def _is_users(cls: type[Op]) -> bool:
    return not cls.__module__.startswith(_OURS)


@lru_cache(maxsize=4096)
def _is_standard(domain: str, op_type: str) -> bool:
    return domain in current_opsets() and find_schema(domain, op_type, current_opset(domain)) is not None


def records() -> Mapping[tuple[str, str], type[Op]]:
    """All records by (domain, operator type)."""
    return _records


def decode(op_type: str, domain: str, attributes: Mapping[str, Any], node: str) -> Op | None:
    """A node's record with its attributes, or None where no record exists or it holds an attribute unknown to it.

    An operator that ONNX does not define was not checked by a schema: there an unknown attribute is an error.

    ``attributes`` holds Python values: int, float, str, tuples. Raises InvalidModelError for a missing or ill-typed
    attribute, naming the node.
    """
    cls = _records.get((domain, op_type))
    if cls is None:
        return None
    hints = _hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # op() made it a dataclass
        name = field.name.rstrip("_")
        if name in attributes:
            values[field.name] = _checked(
                attributes[name], hints[field.name], f"node {node!r} ({op_type}): attribute {name!r}"
            )
        elif field.default is dataclasses.MISSING:
            raise InvalidModelError(f"node {node!r} ({op_type}): attribute {name!r} is required and missing")
    known = {field.name.rstrip("_") for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if strange := set(attributes) - known:
        if not _is_standard(domain, op_type):
            raise InvalidModelError(f"node {node!r} ({domain}::{op_type}): it has no attribute {min(strange)!r}")
        return None
    return cls(**values)


_hints_of: dict[type[Op], dict[str, Any]] = {}


def _hints(cls: type[Op]) -> dict[str, Any]:
    """The attributes' types of a record class, worked out once: it takes longer than decoding a node."""
    if cls not in _hints_of:
        _hints_of[cls] = typing.get_type_hints(cls)
    return _hints_of[cls]


def _checked(value: Any, hint: Any, where: str) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, type(int | str)) else (hint,)
    for option in options:
        origin = typing.get_origin(option)
        if option in (int, float, str) and isinstance(value, option):
            return value
        if option is float and isinstance(value, int):
            return float(value)
        if origin is tuple and isinstance(value, tuple):
            (item, *_) = typing.get_args(option)
            if all(issubclass(kind, item) for kind in set(map(type, value))):  # of trees there are millions
                return value
        if option is object or (
            option is not type(None)
            and isinstance(option, type)
            and option not in (int, float, str)
            and isinstance(value, option)
        ):
            return value
    raise InvalidModelError(f"{where} has the wrong type: expected {hint}, got {value!r}")
