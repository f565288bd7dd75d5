"""A Chainer chain made by a user's function and filled with weights: its ONNX form, and its answers.

``open`` comes first, then any number of ``export`` and ``evaluate``.
"""

import importlib.util
import inspect
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import chainer
import chainer_functions
import numpy as np
import onnx_chainer
from serving import Refused, load, save, serve

OPSET = 11


class Model:
    chain = None
    inputs = []
    by_name = False
    outputs = []


def open_chain(file, function, weights, path, examples, names, by_name):
    """Makes the chain, fills it and calls it on the examples; gives names of inputs and outputs. ``names`` are the
    examples', which are given by name or by position."""
    Model.chain = made(file, function)
    if weights is not None:
        fill(weights, path)
    Model.by_name = by_name
    Model.inputs = names if by_name else positional_names(len(names))
    arrays = load(examples, names)
    Model.outputs = None
    found = call(list(arrays.values()))
    Model.outputs = list(found)
    return {"inputs": Model.inputs, "outputs": Model.outputs, "chain": type(Model.chain).__name__}


def made(file, function):
    """What the user's function gives; its file may import what lies beside it."""
    sys.path.insert(0, os.path.dirname(file))
    spec = importlib.util.spec_from_file_location("chain_factory", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["chain_factory"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise Refused(f"{file} has no function {function}")
    chain = getattr(module, function)()
    if not isinstance(chain, chainer.Link):
        raise Refused(f"{function} of {file} gave an object of {type(chain).__name__}, not a Link or Chain")
    return chain


class Weights(chainer.serializers.NpzDeserializer):
    """Reads without pickle, and says which weight is missing or of another shape."""

    def __getitem__(self, key):
        return Weights(self.npz, self.path + key.strip("/") + "/")

    def __call__(self, key, value):
        name = self.path + key.lstrip("/")
        if name not in self.npz:
            raise Refused(missing(name, self.npz))
        try:
            found = self.npz[name]
        except ValueError as error:  # only None is stored as an object
            raise Refused(f"the weight {name} was saved before it had a value") from error
        if isinstance(value, np.ndarray) and value.shape != found.shape:
            shapes = name, list(found.shape), list(value.shape)
            raise Refused("the weight {} has shape {}, the factory's chain takes {}".format(*shapes))
        return super().__call__(key, value)


def missing(name, archive):
    ending = [other[: -len(name)] for other in archive.files if other.endswith("/" + name)]
    if ending:
        return f"the weights lack {name}, but hold {ending[0]}{name}: --option path={ending[0]}"
    return f"the weights lack {name}: does the factory make the chain that was saved?"


def fill(weights, path):
    with np.load(weights, allow_pickle=False) as archive:
        Weights(archive, path.strip("/") + "/" if path else "").load(Model.chain)


def positional_names(count):
    """Names of the parameters of the chain's call."""
    function = getattr(Model.chain, "forward", None) or Model.chain.__call__
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    return found[:count] if len(found) >= count else [f"input_{i}" for i in range(count)]


def call(arrays):
    """The chain's answer by name; its memory of earlier calls is cleared before."""
    forget()
    arrays = typed(arrays)
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        found = Model.chain(**dict(zip(Model.inputs, arrays))) if Model.by_name else Model.chain(*arrays)
    if isinstance(found, dict):
        found = {str(name): value for name, value in found.items()}
    elif isinstance(found, (tuple, list)):
        found = {f"output_{i}": value for i, value in enumerate(found)}
    else:
        found = {"output": found}
    wrong = [name for name, value in found.items() if not isinstance(value, chainer.Variable)]
    if wrong:
        raise Refused(f"the chain's results {wrong} are no Variables, so that they cannot be followed")
    return {name: value.array for name, value in found.items()}


def typed(arrays):
    """Arrays with the chain's float32 in place of the float64 that numpy makes where nobody asked for a type."""
    if any(parameter.dtype == np.float64 for parameter in Model.chain.params()):
        return list(arrays)
    return [array.astype(np.float32) if array.dtype == np.float64 else array for array in arrays]


def forget():
    for link in Model.chain.links():
        if callable(getattr(link, "reset_state", None)):
            link.reset_state()


def export(given, path):
    """Writes the ONNX file of a call on these arrays; gives the names of the functions whose ONNX form is ours."""
    used = set()
    arrays = typed(load(given, Model.inputs).values())
    forget()
    try:
        onnx_chainer.export(
            Model.chain,
            dict(zip(Model.inputs, arrays)) if Model.by_name else arrays,
            filename=path,
            opset_version=OPSET,
            input_names=Model.inputs,
            output_names=Model.outputs,
            external_converters={name: noted(name, used) for name in chainer_functions.CONVERTERS},
            no_testcase=True,
        )
    except ValueError as error:
        if str(error).endswith("is not supported"):
            function = str(error).split()[0]
            raise Refused(
                f"Chainer's exporter has no ONNX form for the function {function}. Replace that "
                "part, or end the chain before it and do that step outside"
            ) from error
        raise
    return sorted(used)


def noted(name, used):
    """One of our conversion functions; when it is used, its name is added."""

    def convert(parameters):
        used.add(name)
        return chainer_functions.CONVERTERS[name](parameters)

    return convert


def evaluate(given, names, found):
    feeds = load(given, names)
    return save(found, call([feeds[name] for name in Model.inputs]))


chainer.disable_experimental_feature_warning = True
serve({"open": open_chain, "export": export, "evaluate": evaluate})
