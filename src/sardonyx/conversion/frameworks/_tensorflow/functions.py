"""SavedModels, functions and frozen graphs as functions of flat tensors with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._tensorflow.graphs import Function
from sardonyx.conversion.frameworks._tensorflow.repairs import valid_names
from sardonyx.conversion.source import Request, Source
from sardonyx.errors import ConversionError

__all__ = ["of_concrete_function", "of_frozen_graph", "of_function", "of_module", "of_saved_model"]

_DEFAULT = "serving_default"
_NO_RESULTS = {"Const", "Placeholder", "NoOp", "Assert", "CheckNumerics"}
_VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}


def of_saved_model(source: Source, request: Request) -> Function:
    """A signature of a SavedModel: the one that the option ``signature`` names, or the default or only one."""
    import tensorflow

    path = source.path
    assert path is not None
    folder = path.parent if path.is_file() else path
    loaded = tensorflow.saved_model.load(str(folder))
    names = sorted(loaded.signatures)
    wanted = request.option("signature") or (_DEFAULT if _DEFAULT in names else names[0] if len(names) == 1 else None)
    if wanted is None and not names:
        return _of_called(loaded, request)
    if wanted not in names:
        raise ConversionError(
            f"{source}: its signatures are {', '.join(names) or 'none'}; say which one: --option signature=NAME"
        )
    return _flat(loaded.signatures[wanted], loaded, request)


def of_module(source: Source, request: Request) -> Function:
    """A tf.Module with signatures, or with a ``__call__`` that is a tf.function."""
    return _of_called(source.object, request)


def of_function(source: Source, request: Request) -> Function:
    """A tf.function with an ``input_signature``, or called with the example."""
    return _flat(_traced(source.object, request), source.object, request)


def of_concrete_function(source: Source, request: Request) -> Function:
    """A function that has been traced."""
    return _flat(source.object, source.object, request)


def of_frozen_graph(source: Source, request: Request) -> Function:
    """A GraphDef without variables. Its inputs are its placeholders and its outputs what no node reads, unless the
    options ``inputs`` and ``outputs`` list names."""
    import tensorflow

    graph_def = _graph_def(source)
    nodes = {node.name: node for node in graph_def.node}
    variables = [node.name for node in graph_def.node if node.op in _VARIABLES]
    if variables:
        raise ConversionError(
            f"{source}: the graph is not frozen, it reads the variables {', '.join(variables[:5])}"
            f"{' ...' if len(variables) > 5 else ''} whose values it does not hold; save it as a SavedModel"
        )
    read = {name.lstrip("^").partition(":")[0] for node in graph_def.node for name in node.input}
    inputs = _listed(request.option("inputs")) or [n.name for n in graph_def.node if n.op == "Placeholder"]
    outputs = _listed(request.option("outputs")) or [
        n.name for n in graph_def.node if n.name not in read and n.op not in _NO_RESULTS
    ]
    missing = [name for name in [*inputs, *outputs] if name.partition(":")[0] not in nodes]
    if missing or not outputs:
        raise ConversionError(f"{source}: the graph has no node {', '.join(missing) or 'that gives a result'}")
    wrapped = tensorflow.compat.v1.wrap_function(lambda: tensorflow.compat.v1.import_graph_def(graph_def, name=""), [])
    given = [wrapped.graph.get_tensor_by_name(_port(name)) for name in inputs]
    pruned = wrapped.prune(given, [wrapped.graph.get_tensor_by_name(_port(name)) for name in outputs])
    names = valid_names([name.removesuffix(":0") for name in inputs])
    specs = [tensorflow.TensorSpec(t.shape, t.dtype, name=name) for t, name in zip(given, names, strict=True)]
    results = valid_names([name.removesuffix(":0") for name in outputs], names)
    return Function(lambda *tensors: list(pruned(*tensors)), _sized(specs, request), results, pruned)


def _of_called(module: Any, request: Request) -> Function:
    call = getattr(module, "__call__", None)  # noqa: B004 (it is wanted itself, with its traces)
    if hasattr(call, "get_concrete_function"):
        return _flat(_traced(call, request), module, request)
    if request.example_inputs is None or not callable(module):
        raise ConversionError(
            f"nothing says how the {type(module).__name__} is called: decorate its __call__ with @tf.function and an "
            "input_signature, or give example_inputs"
        )
    import tensorflow

    return _flat(_traced(tensorflow.function(module), request), module, request)


def _traced(function: Any, request: Request) -> Any:
    """The concrete function of the input_signature, of the example, or the only one there is."""
    example = request.example_inputs
    if getattr(function, "input_signature", None) is not None:
        return function.get_concrete_function()
    if example is not None:
        if isinstance(example, Mapping):
            return function.get_concrete_function(**{key: _spec(value, key) for key, value in example.items()})
        given = example if isinstance(example, tuple) else (example,)
        return function.get_concrete_function(*(_spec(value, None) for value in given))
    known = list(getattr(function, "concrete_functions", None) or [])
    if len(known) == 1:
        return known[0]
    raise ConversionError(
        "the tf.function has no input_signature: give example_inputs, or --example SHAPE (such as 1x28x28), or the "
        "concrete function that you mean"
    )


def _spec(value: Any, name: str | None) -> Any:
    import tensorflow

    tensor = tensorflow.convert_to_tensor(value)
    return tensorflow.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype, name=name)


def _flat(concrete: Any, owner: Any, request: Request) -> Function:
    """A concrete function with its structures taken apart."""
    import tensorflow

    structure = concrete.structured_input_signature
    leaves = tensorflow.nest.flatten(structure)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, tensorflow.TensorSpec)]
    names = valid_names([leaves[place].name or f"input_{k}" for k, place in enumerate(places)])
    specs = [
        tensorflow.TensorSpec(leaves[place].shape, leaves[place].dtype, name=name)
        for place, name in zip(places, names, strict=True)
    ]

    def call(*tensors: Any) -> Sequence[Any]:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        arguments, keywords = tensorflow.nest.pack_sequence_as(structure, filled)
        return list(tensorflow.nest.flatten(concrete(*arguments, **keywords)))

    outputs = valid_names(_output_names(concrete.structured_outputs), names)
    return Function(call, _sized(specs, request), outputs, owner)


def _sized(specs: Sequence[Any], request: Request) -> list[Any]:
    """Specs with a rank, and with a fixed batch where that is wished."""
    import tensorflow

    example = request.example_inputs
    given = list(example.values()) if isinstance(example, Mapping) else example
    given = list(given) if isinstance(given, tuple | list) else [] if given is None else [given]
    found = []
    for place, spec in enumerate(specs):
        shape = spec.shape
        if shape.rank is None:
            if place >= len(given):
                raise ConversionError(
                    f"the rank of input {spec.name!r} is unknown: give example_inputs, or --example SHAPE"
                )
            shape = tensorflow.TensorShape([None, *np.shape(given[place])[1:]])
        if not request.dynamic and shape.rank and shape[0] is None:
            size = np.shape(given[place])[0] if place < len(given) else 1
            shape = tensorflow.TensorShape([size, *shape[1:]])
        found.append(tensorflow.TensorSpec(shape, spec.dtype, name=spec.name))
    return found


def _output_names(structure: Any) -> list[str]:
    """Keys of a dict as they are; ``output``, or ``output_0`` and so on, of others."""
    import tensorflow

    count = len(tensorflow.nest.flatten(structure))
    if isinstance(structure, Mapping) and len(structure) == count:
        return [str(key) for key in sorted(structure)]
    return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]


def _graph_def(source: Source) -> Any:
    import tensorflow
    from google.protobuf.message import DecodeError

    if source.path is None:
        return source.object
    graph_def = tensorflow.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(source.path.read_bytes())
    except DecodeError as error:
        raise ConversionError(f"{source} ends with .pb, but is no whole GraphDef: {error}") from error
    return graph_def


def _listed(names: Any) -> list[str]:
    if names is None:
        return []
    return [part.strip() for part in names.split(",")] if isinstance(names, str) else [str(name) for name in names]


def _port(name: str) -> str:
    return name if ":" in name else f"{name}:0"
