"""Chains of Chainer; run as a program, saves each with seeded random weights into the folder that the command names.

Runs in Chainer's isolated environment (Python 3.8), and is the file of the factories too.
"""

import os
import sys

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np


class Calls(chainer.Chain):
    """A chain of links and a function of them."""

    def __init__(self, forward, **links):
        super().__init__()
        self.function = forward
        with self.init_scope():
            for name, link in links.items():
                setattr(self, name, link)

    def forward(self, x):
        return self.function(self, x)


def mlp():
    return chainer.Sequential(L.Linear(20, 64), F.relu, F.dropout, L.Linear(64, 32), F.tanh, L.Linear(32, 10))


def cnn():
    def forward(self, x):
        x = F.max_pooling_2d(self.norm(F.relu(self.first(x))), 2)
        return self.out(F.average_pooling_2d(F.relu(self.second(x)), 2))

    links = {"first": L.Convolution2D(1, 8, 5), "norm": L.BatchNormalization(8), "second": L.Convolution2D(8, 16, 3)}
    return Calls(forward, out=L.Linear(None, 10), **links)


def classifier():
    return L.Classifier(cnn())


class Residual(chainer.Chain):
    def __init__(self, size, out, stride):
        super().__init__()
        with self.init_scope():
            self.first = L.Convolution2D(size, out, 3, stride, 1, nobias=True)
            self.norm = L.BatchNormalization(out)
            self.second = L.Convolution2D(out, out, 3, 1, 1, nobias=True)
            self.last = L.BatchNormalization(out)
            self.past = L.Convolution2D(size, out, 1, stride)

    def forward(self, x):
        inner = self.last(self.second(F.relu(self.norm(self.first(x)))))
        return F.relu(inner + self.past(x))


def resnet():
    def pooled(x):
        return F.mean(x, axis=(2, 3))

    start = L.Convolution2D(3, 8, 3, 1, 1)
    return chainer.Sequential(
        start, Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 24, 2), pooled, L.Linear(24, 6)
    )


class Several(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.left = L.Linear(6, 8)
            self.right = L.Convolution2D(3, 8, 3)
            self.kind = L.Linear(16, 3)
            self.price = L.Linear(16, 1)

    def forward(self, table, picture):
        seen = F.max(F.elu(self.right(picture)), axis=(2, 3))
        joined = F.concat([F.sigmoid(self.left(table)), seen], axis=1)
        return {"kind": F.softmax(self.kind(joined)), "price": self.price(joined)}


def upsampling():
    def forward(self, x):
        x = F.leaky_relu(self.down(x), 0.1)
        x = F.clipped_relu(self.deep(self.up(x)), 6.0)
        return self.out(F.average_pooling_2d(x, x.shape[2:]))

    links = {"down": L.Convolution2D(3, 6, 3, 2, 1), "up": L.Deconvolution2D(6, 4, 4, 2, 1)}
    return Calls(forward, deep=L.Convolution2D(4, 8, 3, groups=4), out=L.Linear(8, 5), **links)


def lstm():
    def forward(self, x):
        for step in range(x.shape[1]):
            hidden = self.upper(self.lower(x[:, step]))
        return self.out(hidden)

    return Calls(forward, lower=L.LSTM(8, 16), upper=L.LSTM(16, 12), out=L.Linear(12, 4))


def gru():
    def forward(self, x):
        for step in range(x.shape[1]):
            hidden = self.cell(x[:, step])
        return self.out(hidden)

    return Calls(forward, cell=L.StatefulGRU(8, 16), out=L.Linear(16, 4))


def text():
    def forward(self, ids):
        x = F.transpose(self.table(ids), (0, 2, 1))
        x = F.relu(self.seen(F.expand_dims(x, 3)))
        return F.softmax(self.out(F.max(x, axis=(2, 3))))

    return Calls(forward, table=L.EmbedID(100, 16), seen=L.Convolution2D(16, 12, (3, 1)), out=L.Linear(12, 2))


def attention():
    def forward(self, x):
        rows, length, size = x.shape
        query, key, value = (F.reshape(part(F.reshape(x, (-1, size))), (rows, length, size)) for part in self.parts())
        seen = F.matmul(F.softmax(F.matmul(query, key, transb=True) / 4, axis=2), value)
        inner = self.norm(F.reshape(x + seen, (-1, size)))
        inner = self.last(inner + self.down(F.relu(self.up(inner))))
        return self.out(F.mean(F.reshape(inner, (rows, length, size)), axis=1))

    names = ("query", "key", "value")
    links = {name: L.Linear(16, 16) for name in names}
    links.update(norm=L.LayerNormalization(16), last=L.LayerNormalization(16), up=L.Linear(16, 32))
    chain = Calls(forward, down=L.Linear(32, 16), out=L.Linear(16, 3), **links)
    chain.parts = lambda: [getattr(chain, name) for name in names]
    return chain


def resized():
    def forward(self, x):
        x = F.resize_images(F.selu(self.norm(self.seen(x))), (13, 16))
        x = F.resize_images(x, (9, 9), align_corners=False)
        return self.out(F.softplus(F.resize_images(x, (12, 6), mode="nearest")))

    return Calls(forward, seen=L.Convolution2D(3, 8, 3), norm=L.GroupNormalization(4), out=L.Linear(8 * 12 * 6, 4))


def sequences():
    def forward(self, x):
        hidden, _, _ = self.cells(None, None, [x[row] for row in range(len(x))])
        return self.out(hidden[-1])

    return Calls(forward, cells=L.NStepLSTM(2, 8, 12, 0.0), out=L.Linear(12, 3))


def foreign():
    return chainer.Sequential(L.Linear(20, 8), F.erf)


MODELS = {
    "mlp": [(1, 20)],
    "cnn": [(1, 1, 28, 28)],
    "resnet": [(1, 3, 16, 16)],
    "Several": [(1, 6), (1, 3, 12, 12)],
    "upsampling": [(1, 3, 16, 16)],
    "lstm": [(1, 6, 8)],
    "gru": [(1, 6, 8)],
    "text": [(1, 11)],
    "attention": [(1, 7, 16)],
    "resized": [(1, 3, 10, 10)],
    "sequences": [(1, 6, 8)],
    "foreign": [(1, 20)],
}


def save(name, shapes, folder):
    """The statistics and scales of normalisations are no longer 0 and 1."""
    np.random.seed(0)
    chain = globals()[name]()
    kind = np.int32 if name == "text" else np.float32
    with chainer.using_config("train", False):
        chain(*(np.zeros(shape, kind) for shape in shapes))
    for link in chain.links():
        if isinstance(link, L.BatchNormalization):
            link.avg_mean[...] = np.random.normal(0, 0.3, link.avg_mean.shape)
            link.avg_var[...] = np.random.uniform(0.5, 2, link.avg_var.shape)
        for scale in [getattr(link, n, None) for n in ("gamma", "beta")]:
            if scale is not None:
                scale.array[...] = np.random.uniform(0.5, 2, scale.shape)
    chainer.serializers.save_npz(os.path.join(folder, name + ".npz"), chain)
    if name == "cnn":
        whole = classifier()
        whole.predictor = chain
        chainer.serializers.save_npz(os.path.join(folder, "classifier.npz"), whole)


if __name__ == "__main__":
    for model, sizes in MODELS.items():
        save(model, sizes, sys.argv[1])
