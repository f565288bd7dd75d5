"""Models of MXNet, built with seeded random weights and saved into the folder that the command names.

Runs in MXNet's isolated environment (Python 3.8).
"""

import os
import sys

import mxnet as mx
from mxnet import gluon, nd
from mxnet.gluon import nn, rnn
from mxnet.gluon.model_zoo import vision

SYM = mx.sym


def sequential(*layers):
    made = nn.HybridSequential()
    made.add(*layers)
    return made


class Block(gluon.HybridBlock):
    """A block of children and a function of them."""

    def __init__(self, call, **children):
        super().__init__()
        self.call = call
        for name, child in children.items():
            setattr(self, name, child)

    def hybrid_forward(self, F, *inputs):
        return self.call(self, F, *inputs)


def gluon_model(name, make, *shapes, dtype="float32"):
    """Saves a block; the statistics of its normalisations are no longer 0 and 1."""
    mx.random.seed(0)
    block = make()
    block.initialize(mx.init.Xavier(magnitude=2))
    block.hybridize()
    inputs = [nd.zeros(shape, dtype=dtype) for shape in shapes]
    block(*inputs)
    for key, parameter in block.collect_params().items():
        if key.endswith(("running_mean", "beta", "bias")):
            parameter.set_data(nd.random.normal(0, 0.3, parameter.shape))
        if key.endswith(("running_var", "gamma")):
            parameter.set_data(nd.random.uniform(0.5, 2, parameter.shape))
    block(*inputs)
    block.export(name)


def mlp():
    return sequential(nn.Dense(64, "relu"), nn.Dropout(0.5), nn.Dense(32, "tanh"), nn.Dense(10))


def cnn():
    layers = [nn.Conv2D(8, 5, activation="relu"), nn.BatchNorm(), nn.MaxPool2D(), nn.Conv2D(16, 3), nn.BatchNorm()]
    return sequential(*layers, nn.Activation("relu"), nn.AvgPool2D(), nn.Flatten(), nn.Dense(32, "tanh"), nn.Dense(10))


def resnet():
    return vision.ResNetV2(vision.BasicBlockV2, [1, 1, 1, 1], [8, 8, 16, 32, 64], classes=10)


def upsampling():
    layers = [nn.Conv2D(8, 3, strides=2, padding=1), nn.PReLU(), nn.Conv2DTranspose(6, 4, strides=2, padding=1)]
    return sequential(*layers, nn.LeakyReLU(0.1), nn.Dropout(0.2), nn.GlobalAvgPool2D(), nn.Dense(5))


def mobile():
    def cut(block, F, x):
        return F.clip(block.body(x), 0, 6)

    body = sequential(nn.Conv2D(12, 1, use_bias=False), nn.BatchNorm(), nn.Conv2D(12, 3, padding=1, groups=12))
    return sequential(nn.Conv2D(6, 3, strides=2), Block(cut, body=body), nn.GlobalMaxPool2D(), nn.Dense(4))


def lstm():
    return sequential(rnn.LSTM(24, num_layers=2, layout="NTC"), nn.Dense(5))


def text():
    def call(block, F, ids):
        return F.softmax(block.out(F.mean(block.gru(block.embedding(ids)), axis=1)))

    return Block(call, embedding=nn.Embedding(200, 16), gru=rnn.GRU(20, 2, "NTC", bidirectional=True), out=nn.Dense(3))


def letters():
    def call(block, F, ids):
        return F.log_softmax(block.out(block.seen(F.swapaxes(block.embedding(ids), 1, 2))))

    seen = sequential(nn.Conv1D(12, 3, activation="relu"), nn.MaxPool1D(2), nn.Conv1D(8, 2), nn.GlobalMaxPool1D())
    return Block(call, embedding=nn.Embedding(60, 10), seen=seen, out=nn.Dense(4))


def time_major():
    return sequential(rnn.LSTM(10))


def attention():
    def call(block, F, x):
        scores = F.batch_dot(block.query(x), block.key(x), transpose_b=True) / 4
        x = block.first(x + F.batch_dot(F.softmax(scores, axis=-1), block.value(x)))
        return F.mean(block.second(x + block.down(block.up(x))), axis=1)

    def dense(size):
        return nn.Dense(size, flatten=False)

    children = {"query": dense(16), "key": dense(16), "value": dense(16), "up": dense(32), "down": dense(16)}
    children["up"] = sequential(dense(32), nn.GELU())
    return Block(call, first=nn.LayerNorm(), second=nn.LayerNorm(), **children)


def symbol_model(name, symbol, **shapes):
    """Saves a symbol as the older Module does; the data's shapes stand in the symbol."""
    mx.random.seed(0)
    labels = [n for n in symbol.list_arguments() if n.endswith("_label")]
    module = mx.mod.Module(symbol, data_names=list(shapes), label_names=labels)
    rows = dict.fromkeys(labels, (2,))
    module.bind([(n, (2, *shape)) for n, shape in shapes.items()], [(n, rows[n]) for n in labels] or None)
    module.init_params(mx.init.Xavier())
    module.save_checkpoint(name, 0)


def classifier():
    x = SYM.FullyConnected(SYM.var("data", shape=(0, 20)), num_hidden=32, name="hidden")
    x = SYM.FullyConnected(SYM.Activation(x, act_type="softrelu"), num_hidden=6, name="scores")
    return SYM.SoftmaxOutput(x, name="softmax")


def several():
    table, picture = SYM.var("table", shape=(0, 6)), SYM.var("picture", shape=(0, 3, 12, 12))
    seen = SYM.Convolution(picture, kernel=(3, 3), num_filter=8, name="seen")
    seen = SYM.Pooling(SYM.Activation(seen, act_type="sigmoid"), global_pool=True, kernel=(1, 1), pool_type="avg")
    joined = SYM.concat(SYM.FullyConnected(table, num_hidden=8, name="left"), SYM.Flatten(seen), dim=1)
    kind = SYM.softmax(SYM.FullyConnected(joined, num_hidden=3, name="kinds"), name="kind")
    return SYM.Group([kind, SYM.FullyConnected(joined, num_hidden=1, name="price")])


def main(folder):
    os.chdir(folder)
    gluon_model("mlp", mlp, (1, 20))
    gluon_model("cnn", cnn, (1, 1, 28, 28))
    gluon_model("resnet", resnet, (1, 3, 64, 64))
    gluon_model("upsampling", upsampling, (1, 3, 16, 16))
    gluon_model("mobile", mobile, (1, 3, 17, 17))
    gluon_model("lstm", lstm, (1, 9, 8))
    gluon_model("text", text, (1, 11), dtype="int32")
    gluon_model("letters", letters, (1, 15), dtype="int32")
    gluon_model("time_major", time_major, (6, 1, 5))
    gluon_model("attention", attention, (1, 7, 16))
    symbol_model("classifier", classifier(), data=(20,))
    symbol_model("several", several(), table=(6,), picture=(3, 12, 12))


main(sys.argv[1])
