"""MXNet's RNN operator in ONNX: any number of layers, both directions, sizes of input and state that differ.

The exporter's own takes an input as wide as the state for two layers (wrong weights otherwise), no more than two layers
and only one bidirectional LSTM.
"""

import numpy as np
from mxnet.onnx.mx2onnx._op_translations._op_translations_opset13 import get_inputs
from onnx import helper, numpy_helper
from serving import Refused

KINDS = {
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "rnn_tanh": ("RNN", (0,), {}),
    "rnn_relu": ("RNN", (0,), {"activations": ["Relu"]}),
}
"""The ONNX operator, MXNet's gates in its order, and attributes."""


def converter(input_sizes):
    """A conversion function for the exporter's registry; ``input_sizes`` are the widths of the data by node name."""

    def convert(node, **settings):
        return Layers(node, settings, input_sizes[node["name"]]).nodes()

    return convert


class Layers:
    """One RNN node. Its parameters are one vector: for each layer and direction W and R, then for each their biases."""

    def __init__(self, node, settings, width):
        self.name, self.inputs, attributes = get_inputs(node, settings)
        self.initializer = settings["initializer"]
        for option in ("use_sequence_length", "projection_size", "lstm_state_clip_min", "lstm_state_clip_max"):
            if attributes.get(option, "None") not in ("None", "False"):
                raise Refused(f"MXNet's RNN {self.name!r} has {option}, which ONNX does not")
        self.kind, self.gates, self.attributes = KINDS[attributes["mode"]]
        self.size, self.layers = int(attributes["state_size"]), int(attributes.get("num_layers", 1))
        self.directions = 2 if attributes.get("bidirectional", "False") == "True" else 1
        self.states = attributes.get("state_outputs", "False") == "True"
        self.width = width
        self.made = []

    def nodes(self):
        data, initial = self.inputs[0], self.initial_states()
        offset, places = 0, []
        for layer in range(self.layers):
            width = self.width if layer == 0 else self.size * self.directions
            for _ in range(self.directions):
                places.append((offset, width))
                offset += len(self.gates) * self.size * (width + self.size)
        finals = []
        for layer in range(self.layers):
            mine = places[layer * self.directions : (layer + 1) * self.directions]
            first_bias = offset + layer * self.directions * 2 * len(self.gates) * self.size
            data, final = self.layer(layer, data, mine, first_bias, initial)
            finals.append(final)
        self.node("Identity", [data], [self.name])
        for index in range(len(initial) if self.states else 0):
            self.node("Concat", [final[index] for final in finals], [self.name + str(index + 1)], axis=0)
        return self.made

    def initial_states(self):
        """The given states, for every row of the batch; MXNet leaves the batch of a zero state open."""
        batch = self.node("Gather", [self.node("Shape", [self.inputs[0]]), self.constant([1])])
        shape = [self.constant([self.layers * self.directions]), batch, self.constant([self.size])]
        whole = self.node("Concat", shape, axis=0)
        return [self.node("Expand", [state, whole]) for state in self.inputs[2 : 4 if self.kind == "LSTM" else 3]]

    def layer(self, layer, data, places, first_bias, initial):
        """Adds one layer; gives its outputs (length, batch, directions x size) and its final states."""
        rows, size = len(self.gates) * self.size, self.size
        inputs, recurrent, biases = [], [], []
        for direction, (offset, width) in enumerate(places):
            inputs.append(self.weights(offset, rows * width, [1, rows, width]))
            recurrent.append(self.weights(offset + rows * width, rows * size, [1, rows, size]))
            start = first_bias + direction * 2 * rows
            both = [self.weights(start, rows, [1, rows]), self.weights(start + rows, rows, [1, rows])]
            biases.append(self.node("Concat", both, axis=1))
        joined = [self.node("Concat", parts, axis=0) for parts in (inputs, recurrent, biases)]
        begin = self.constant([layer * self.directions])
        end = self.constant([(layer + 1) * self.directions])
        states = [self.node("Slice", [state, begin, end, self.constant([0])]) for state in initial]
        prefix = f"{self.name}_layer{layer}_"
        finals = [prefix + part for part in ("h", "c")[: len(initial)]]
        attributes = dict(self.attributes, hidden_size=size)
        if self.directions == 2:
            attributes["direction"] = "bidirectional"
            if "activations" in attributes:
                attributes["activations"] = attributes["activations"] * 2
        self.node(self.kind, [data, *joined, "", *states], [prefix + "y", *finals], **attributes)
        turned = self.node("Transpose", [prefix + "y"], perm=[0, 2, 1, 3])
        return self.node("Reshape", [turned, self.constant([0, 0, self.directions * size])]), finals

    def weights(self, offset, count, shape):
        """A part of the parameters, its gates in ONNX's order."""
        flat = self.node("Slice", [self.inputs[1], self.constant([offset]), self.constant([offset + count])])
        stacked = self.node("Reshape", [flat, self.constant([len(self.gates), -1])])
        ordered = self.node("Gather", [stacked, self.constant(self.gates)], axis=0)
        return self.node("Reshape", [ordered, self.constant(shape)])

    def constant(self, values):
        name = f"{self.name}_constant{len(self.initializer)}"
        self.initializer.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def node(self, kind, inputs, outputs=None, **attributes):
        """Adds a node; gives its first output."""
        outputs = outputs or [f"{self.name}_part{len(self.made)}"]
        self.made.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]
