"""A symbol and its parameters: what they take, their ONNX form, and their answers.

``open`` comes first, then ``export``, then any number of ``evaluate``.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mxnet as mx
import mxnet_rnn
import numpy as np
from mxnet.onnx import export_model
from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
from onnx.mapping import NP_TYPE_TO_TENSOR_TYPE
from serving import Refused, load, save, serve

BY_INDEX = {"Embedding": 0, "take": 1, "one_hot": 0, "pick": 1, "batch_take": 1, "gather_nd": 1}
"""Operators and which of their inputs are indices."""
LOSSES = {
    "SoftmaxOutput": ("softmax", {"axis": "-1"}),
    "LinearRegressionOutput": ("identity", {}),
    "LogisticRegressionOutput": ("sigmoid", {}),
    "MAERegressionOutput": ("identity", {}),
    "SVMOutput": ("identity", {}),
}
"""Operators whose second input is the label, which only training looks at, and what they are without it."""


class Model:
    symbol = None
    without_labels = None
    parameters = {}
    labels = set()
    inputs = []
    outputs = []


def read(symbol, params):
    try:
        Model.symbol = mx.sym.load(symbol)
    except Exception as error:
        raise Refused(f"{symbol} cannot be read as an MXNet symbol: {first_line(error)}") from error
    try:
        loaded = mx.nd.load(params)
    except Exception as error:
        raise Refused(f"{params} cannot be read as MXNet parameters: {first_line(error)}") from error
    if not isinstance(loaded, dict):
        raise Refused(f"{params} holds arrays without names: save them with Module.save_checkpoint or net.export")
    Model.parameters = {name.split(":", 1)[-1]: value for name, value in loaded.items()}
    return json.loads(Model.symbol.tojson())["nodes"]


def open_model(symbol, params, shapes, types, axes):
    """Reads the files and gives the inputs: name, shape or None, type, and for indices how many there are.

    ``shapes`` and ``types`` are the caller's, by name or, for those whose name is a number, by position;
    ``axes`` are those of the batch, by name, and under ``""`` for all others.
    """
    nodes = read(symbol, params)
    labels = {nodes[n["inputs"][1][0]]["name"] for n in nodes if n["op"] in LOSSES and len(n["inputs"]) > 1}
    names = [n for n in Model.symbol.list_inputs() if n not in Model.parameters and n not in labels]
    check(nodes, names)
    Model.inputs = []
    for position, name in enumerate(names):
        node = next(n for n in nodes if n["name"] == name)
        attributes = node.get("attrs", {})
        batch = axes.get(name, axes.get("", max((attributes.get("__layout__") or "N").find("N"), 0)))
        shape = shapes.get(name, shapes.get(str(position))) or sizes_of(attributes.get("__shape__"), batch)
        count = indices(nodes, name)
        given = types.get(name, types.get(str(position)))
        if given == "float64" and not any(value.dtype == np.float64 for value in Model.parameters.values()):
            given = None  # what numpy makes where nobody asked for a type
        Model.inputs.append(
            {
                "name": name,
                "shape": list(shape) if shape else None,
                "dtype": given or type_of(attributes.get("__dtype__")) or ("int32" if count else "float32"),
                "indices": count,
                "batch": batch,
            }
        )
    Model.labels = labels
    Model.without_labels = without_losses(nodes) if labels else Model.symbol
    return Model.inputs


def without_losses(nodes):
    """The symbol with the answers' operators in place of losses; the exporter stumbles over labels."""
    for node in nodes:
        if node["op"] in LOSSES:
            attributes = node.get("attrs", {})
            node["op"], node["attrs"] = LOSSES[node["op"]]
            if attributes.get("multi_output") == "True":
                node["attrs"] = {"axis": "1"}
            node["inputs"] = node["inputs"][:1]
    graph = json.loads(Model.symbol.tojson())
    graph["nodes"] = nodes
    return mx.sym.load_json(json.dumps(graph))


def check(nodes, names):
    """Refuses what has no ONNX form, or no weights."""
    known = set().union(*(set(MXNetGraph.registry_[v]) for v in MXNetGraph.registry_))
    foreign = ["{} ({!r})".format(n["op"], n["name"]) for n in nodes if n["op"] not in known]
    if foreign:
        raise Refused(
            "MXNet's exporter has no ONNX form for: {}{}. Replace that part, or cut the symbol before it "
            "(symbol.get_internals()) and do that step outside".format(
                "; ".join(foreign[:8]), "; ..." if len(foreign) > 8 else ""
            )
        )
    endings = ("_weight", "_bias", "_gamma", "_beta", "_moving_mean", "_moving_var", "_running_mean", "_running_var")
    lost = [name for name in names if name.endswith(endings)]
    if lost:
        raise Refused("the parameters lack {}: do both files come from one model?".format(", ".join(lost[:8])))


def sizes_of(text, batch):
    """A shape as a symbol's attribute has it, with one row where the batch is open; None where another size is
    unknown."""
    sizes = [int(part) for part in (text or "").strip("()[] ").split(",") if part.strip()]
    sizes = [1 if axis == batch and size <= 0 else size for axis, size in enumerate(sizes)]
    return sizes if sizes and min(sizes) > 0 else None


def type_of(text):
    """The name of a type that a symbol's attribute gives by number; -1 stands for unknown."""
    if text is None or int(text) < 0:
        return None
    return np.dtype(mx.base._Null if text is None else mx.ndarray.ndarray._DTYPE_MX_TO_NP[int(text)]).name


def indices(nodes, name):
    """How many values an input may take that is only ever used to look something up; None for others."""
    position = next(i for i, n in enumerate(nodes) if n["name"] == name)
    users = [(n, [i[0] for i in n["inputs"]].index(position)) for n in nodes if position in [i[0] for i in n["inputs"]]]
    if not users or any(BY_INDEX.get(n["op"]) != place for n, place in users):
        return None
    counts = [n.get("attrs", {}).get("input_dim") or n.get("attrs", {}).get("depth") for n, _ in users]
    return min([int(count) for count in counts if count], default=2)


def export(path, dynamic):
    """Writes the ONNX file; gives the outputs' shapes by name, with "batch" where a size is that of the batch and
    None where it depends on it, and notes."""
    shapes = [tuple(i["shape"]) for i in Model.inputs]
    types = [np.dtype(i["dtype"]).type for i in Model.inputs]
    symbol, notes = Model.without_labels, []
    _, found = MXNetGraph.get_outputs(
        symbol, Model.parameters, shapes, None, [NP_TYPE_TO_TENSOR_TYPE[np.dtype(t)] for t in types]
    )
    Model.outputs = list(found)
    results = open_shapes(notes) if dynamic else None
    free = [tuple("batch" if a == i["batch"] else s for a, s in enumerate(i["shape"])) for i in Model.inputs]
    sizes = widths(symbol)
    if sizes:
        MXNetGraph.registry_[13]["RNN"] = mxnet_rnn.converter(sizes)
        notes.append("recurrent layers were written anew: {}".format(", ".join(sizes)))
    export_model(
        symbol,
        without_fixed(symbol, notes),
        shapes,
        types,
        path,
        dynamic=results is not None,
        dynamic_input_shapes=free if results is not None else None,
    )
    results = results or [list(shape) for shape in result_shapes(None)]
    return {"outputs": dict(zip(Model.outputs, results)), "notes": notes}


def open_shapes(notes):
    """The outputs' shapes with "batch", or None, for what changes with it; None where one batch only is taken."""
    try:
        few, more = result_shapes(2), result_shapes(3)
    except mx.MXNetError as error:
        notes.append(f"the batch stays as in the example, the symbol takes no other: {first_line(error)}")
        return None
    return [
        [a if a == b else "batch" if (a, b) == (2, 3) else None for a, b in zip(one, other)]
        for one, other in zip(few, more)
    ]


def widths(symbol):
    """The width of the data of each recurrent layer, by its name."""
    inner = symbol.get_internals()
    _, found, _ = inner.infer_shape_partial(**{i["name"]: tuple(i["shape"]) for i in Model.inputs})
    sizes = dict(zip(inner.list_outputs(), found))
    nodes = json.loads(symbol.tojson())["nodes"]
    result = {}
    for node in nodes:
        if node["op"] == "RNN":
            position, index = node["inputs"][0][:2]
            name = nodes[position]["name"]
            names = (name, name + "_output", f"{name}_output{index}")
            result[node["name"]] = next(sizes[n] for n in names if n in sizes)[-1]
    return result


def without_fixed(symbol, notes):
    """The parameters, with ones for the scales that a BatchNorm has but does not use; the exporter uses them."""
    nodes = json.loads(symbol.tojson())["nodes"]
    changed, layers = dict(Model.parameters), []
    for node in nodes:
        if node["op"] == "BatchNorm" and node.get("attrs", {}).get("fix_gamma", "True") == "True":
            name = nodes[node["inputs"][1][0]]["name"]
            if name in changed and (changed[name].asnumpy() != 1).any():
                changed[name] = mx.nd.ones_like(changed[name])
                layers.append(node["name"])
    if layers:
        notes.append("scales that fix_gamma leaves out were left out: {}".format(", ".join(layers)))
    return changed


def result_shapes(batch):
    """The outputs' shapes for a batch of that size, or as the inputs are."""
    sizes = {
        i["name"]: tuple(batch if batch and a == i["batch"] else s for a, s in enumerate(i["shape"]))
        for i in Model.inputs
    }
    return Model.symbol.infer_shape_partial(**sizes)[1]


def evaluate(given, names, found):
    feeds = load(given, names)
    types = {i["name"]: np.dtype(i["dtype"]) for i in Model.inputs}
    arguments = {name: mx.nd.array(value, dtype=types[name]) for name, value in feeds.items()}
    shapes = {name: value.shape for name, value in arguments.items()}
    all_shapes, _, _ = Model.symbol.infer_shape(**shapes)
    for name, shape in zip(Model.symbol.list_arguments(), all_shapes):
        if name in Model.labels:
            arguments[name] = mx.nd.zeros(shape)
        elif name not in arguments:
            arguments[name] = Model.parameters[name]
    states = {name: Model.parameters[name] for name in Model.symbol.list_auxiliary_states()}
    bound = Model.symbol.bind(mx.cpu(), arguments, aux_states=states, grad_req="null")
    results = bound.forward(is_train=False)
    return save(found, {name: value.asnumpy() for name, value in zip(Model.outputs, results)})


def convert_layer(node, **settings):
    """The exporter's own, with the layer's name in its complaints."""
    attributes = node.get("attrs", {})
    if attributes.get("layout") == "NCW" and node["op"] in ("Convolution", "Pooling"):
        node = dict(node, attrs=dict(attributes, layout="NCHW"))  # which the exporter writes in the same way
    try:
        return original(node, **settings)
    except Exception as error:
        raise Refused(
            "MXNet's exporter cannot convert the {} {!r}: {}. Replace that part, or cut the symbol before it".format(
                node["op"], node["name"], first_line(error)
            )
        ) from error


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


original = MXNetGraph.convert_layer
MXNetGraph.convert_layer = staticmethod(convert_layer)
serve({"open": open_model, "export": export, "evaluate": evaluate})
