"""``load``: a model as a function of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sardonyx.errors import InvalidInputError
from sardonyx.options import SessionOptions
from sardonyx.session.arguments import ModelMetadata, NodeArg
from sardonyx.session.inference import InferenceSession

if TYPE_CHECKING:
    from sardonyx.graph import ModelSource

__all__ = ["Model", "load"]


class Model:
    """A compiled model that is called like a function.

        model = sardonyx.load("m.onnx")
        y = model(x)                          # inputs in the model's order
        y = model(input=x, mask=m)            # or by name
        y = model({"input.1": x})             # or in a dictionary

    Inputs are numpy arrays, objects with ``__dlpack__`` (such as tensors of PyTorch), Python numbers or nested lists.
    One output is given as it is; several are a dictionary by name. Outputs are numpy arrays, which other libraries take
    over without a copy by ``from_dlpack``. May be called from several threads at once.
    """

    def __init__(self, session: InferenceSession) -> None:
        self.session = session
        self._inputs = [value.name for value in session.get_inputs()]
        self._outputs = [value.name for value in session.get_outputs()]

    @property
    def inputs(self) -> list[NodeArg]:
        """The inputs: names, types and sizes."""
        return self.session.get_inputs()

    @property
    def outputs(self) -> list[NodeArg]:
        """The outputs: names, types and sizes."""
        return self.session.get_outputs()

    @property
    def metadata(self) -> ModelMetadata:
        """What the model's author wrote into the file."""
        return self.session.get_modelmeta()

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Runs the model; raises what ``InferenceSession.run`` raises."""
        results = self.session.run(None, self._feeds(values, named))
        if len(results) == 1:
            return results[0]
        return dict(zip(self._outputs, results, strict=True))

    def _feeds(self, values: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        if len(values) == 1 and isinstance(values[0], Mapping) and set(values[0]) & set(self._inputs):
            return {**values[0], **named}
        if len(values) > len(self._inputs):
            raise InvalidInputError(
                f"{len(values)} inputs were given, the model has {len(self._inputs)}: {self._inputs}"
            )
        feeds = dict(zip(self._inputs, values, strict=False))
        twice = feeds.keys() & named.keys()
        if twice:
            raise InvalidInputError(f"given twice, by position and by name: {sorted(twice)}")
        return {**feeds, **named}

    def __repr__(self) -> str:
        def listed(values: list[NodeArg]) -> str:
            return ", ".join(f"{v.name}: {v.type} {v.shape}" for v in values)

        return f"Model({listed(self.inputs)} -> {listed(self.outputs)})"


def load(source: ModelSource, *, threads: int = 0, strict: bool = False, **options: Any) -> Model:
    """Compiles a model (or takes it from the cache) and gives it as a function.

    ``source`` is a path, bytes, a binary file object or an ``onnx.ModelProto``; ``threads`` 0 takes one per core;
    ``strict`` refuses a model with operators that would run in Python; further options are those of ``SessionOptions``.
    """
    settings = SessionOptions(intra_op_num_threads=threads, strict=strict, **options)
    return Model(InferenceSession(source, settings))
