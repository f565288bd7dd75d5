"""onnx's backend interface (``onnx.backend.base``), for programs and test suites that drive engines through it.

import sardonyx.backend as backend
rep = backend.prepare(model, device="CPU")
outputs = rep.run(inputs)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.backend import base

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError, InvalidModelError, UnsupportedOpError
from sardonyx.options import SessionOptions
from sardonyx.session.inference import InferenceSession

if TYPE_CHECKING:
    from sardonyx.graph import ModelSource

__all__ = ["Backend", "BackendRep", "is_compatible", "prepare", "run", "run_model", "run_node", "supports_device"]


class BackendRep(base.BackendRep):
    """A model that is ready to run."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Runs on a list of values in the model's order, a dictionary by name, or the value of the only input.

        Gives the outputs in the model's order. Raises InvalidInputError for inputs that do not fit, TypeError for a
        keyword that is no option of ``RunOptions``.
        """
        from sardonyx.options import RunOptions

        options = RunOptions()
        for name, value in kwargs.items():
            if not hasattr(options, name):
                raise TypeError(f"run got an unexpected keyword {name!r}")
            setattr(options, name, value)
        return tuple(self._session.run(None, self._feeds(inputs), options))

    def _feeds(self, inputs: Any) -> Mapping[str, Any]:
        names = [value.name for value in self._session.get_inputs()]
        if isinstance(inputs, Mapping):
            return inputs
        values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(values) > len(names):
            raise InvalidInputError(f"{len(values)} inputs were given, the model has {len(names)}: {names}")
        return dict(zip(names, values, strict=False))


class Backend(base.Backend):
    """sardonyx as a backend; keywords are options of ``SessionOptions``."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model can be read: its operators, opsets and types are known."""
        from sardonyx.graph import read_model
        from sardonyx.ops.registry import foreign_operators

        try:
            read_model(model, custom_ops=foreign_operators())
        except (InvalidModelError, UnsupportedOpError):
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: ModelSource | InferenceSession, device: str = "CPU", **kwargs: Any) -> BackendRep:
        """Compiles a model: a path, bytes, a ModelProto, or a session that is taken as it is.

        Raises ValueError for a device other than the CPU, and what ``InferenceSession`` raises.
        """
        if not cls.supports_device(device):
            raise ValueError(f"device {device!r} is not supported: sardonyx runs on the CPU")
        if isinstance(model, InferenceSession):
            return BackendRep(model)
        return BackendRep(InferenceSession(model, SessionOptions(), **kwargs))

    @classmethod
    def run_model(cls, model: ModelSource, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Runs one node on tensors, as a model of its own; ``opset_version`` is that of its domain (newest)."""
        version = int(kwargs.pop("opset_version", 0))
        return cls.run_model(_model_of(node, inputs, version), inputs, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """True for ``CPU`` (``CPU:0``)."""
        return device.partition(":")[0].upper() == "CPU"


def _model_of(node: onnx.NodeProto, inputs: Any, version: int) -> onnx.ModelProto:
    names = [name for name in node.input if name]
    values = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
    if isinstance(inputs, Mapping):
        names = list(inputs)
    if len(values) != len(names):
        raise InvalidInputError(f"the node reads {names}, but {len(values)} values were given")
    domain = "" if node.domain == "ai.onnx" else node.domain
    graph = helper.make_graph(
        [node],
        "node",
        [_declared(name, np.asarray(value)) for name, value in zip(names, values, strict=True)],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    imports = {"": onnx.defs.onnx_opset_version()}
    imports[domain] = version or imports.get(domain) or _newest(domain)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in imports.items()])


def _newest(domain: str) -> int:
    return max((schema.since_version for schema in onnx.defs.get_all_schemas() if schema.domain == domain), default=1)


def _declared(name: str, value: npt.NDArray[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtypes.from_numpy(value.dtype).onnx, value.shape)


is_compatible = Backend.is_compatible
prepare = Backend.prepare
run = Backend.run_model
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
