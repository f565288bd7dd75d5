"""The kernels of ai.onnx.ml on every x86-64 target, with their tasks split, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from ops.run_record import RunContext
from sardonyx.lang.host import host_target
from sardonyx.ops.base import Anchor
from sardonyx.ops.ml.encoders import LabelEncoder, OneHotEncoder
from sardonyx.ops.ml.scores import Classify, PostTransform
from sardonyx.ops.ml.trees import TreeEnsembleClassifier, TreeEnsembleRegressor
from sardonyx.ops.ml.vectors import RbfKernel, VoteClasses
from sardonyx.ops.text.ngrams import TfIdfVectorizer
from sardonyx.targets import AVX2, AVX512, BASELINE, Target

rng = np.random.default_rng(0)
TARGETS = [target for target in (BASELINE, AVX2, AVX512) if target.vector_bytes <= host_target().vector_bytes]


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


def run(record: Anchor, *inputs: np.ndarray, target: Target, outputs: int = 1) -> list[np.ndarray]:
    context = RunContext(record, inputs, outputs=outputs, symbolic=[(0, 0)], splits=3, target=target)
    return [context.results[place] for place in range(outputs)]


def test_lookup(target: Target) -> None:
    keys = rng.choice(200, 60, replace=False).astype(np.float32)
    values = rng.integers(0, 99, 60)
    record = LabelEncoder(keys_floats=(*keys.tolist(), float("nan")), values_int64s=(*values.tolist(), 7))
    x = np.append(rng.integers(0, 200, 3000), np.nan).astype(np.float32)
    table = dict(zip(keys.tolist(), values.tolist(), strict=True))
    expected = [7 if v != v else table.get(v, -1) for v in x.tolist()]
    np.testing.assert_array_equal(run(record, x, target=target)[0], expected)


def test_categories(target: Target) -> None:
    x = rng.integers(-2, 30, (40, 3))
    (got,) = run(OneHotEncoder(cats_int64s=tuple(range(27))), x, target=target)
    np.testing.assert_array_equal(got, x[..., None] == np.arange(27))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores(target: Target, dtype: str) -> None:
    scores = rng.normal(size=(1100, 5)).astype(dtype)
    label, soft = run(Classify(labels=(9, 8, 7, 6, 5), post_transform="SOFTMAX"), scores, target=target, outputs=2)
    np.testing.assert_array_equal(label, 9 - scores.argmax(axis=1))
    powers = np.exp(scores)
    np.testing.assert_allclose(soft, powers / powers.sum(axis=1, keepdims=True), 1e-6)
    label, pair = run(Classify(labels=(3, 4), post_transform="LOGISTIC"), scores[:, :1], target=target, outputs=2)
    np.testing.assert_array_equal(label, 3 + (scores[:, 0] > 0))
    np.testing.assert_allclose(pair[:, 1], 1 / (1 + np.exp(-scores[:, 0])), 1e-5)
    (zero,) = run(PostTransform(post_transform="SOFTMAX_ZERO"), np.where(scores > 0, scores, 0), target=target)
    some = (scores > 0).any(axis=1)
    assert ((zero == 0) == (scores <= 0))[some].all()


def test_gaussian_kernel(target: Target) -> None:
    x, vectors = rng.normal(size=(70, 9)).astype(np.float32), rng.normal(size=(9, 37)).astype(np.float32)
    expected = np.exp(-0.3 * ((x[:, :, None] - vectors) ** 2).sum(axis=1, dtype=np.float64))
    np.testing.assert_allclose(run(RbfKernel(gamma=0.3), x, vectors, target=target)[0], expected, 1e-5)


def test_votes(target: Target) -> None:
    decisions = rng.normal(size=(150, 6)).astype(np.float32)
    votes = np.zeros((150, 4))
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    for column, (i, j) in enumerate(pairs):
        votes[:, i] += decisions[:, column] > 0
        votes[:, j] += decisions[:, column] <= 0
    ones = (-1.5,) * 6
    record = VoteClasses(labels=(0, 1, 2, 3), prob_a=ones, prob_b=(0.0,) * 6)
    label, scores = run(record, decisions, target=target, outputs=2)
    np.testing.assert_array_equal(label, votes.argmax(axis=1))
    np.testing.assert_allclose(scores.sum(axis=1), 1, 1e-5)
    r = np.zeros((150, 4, 4))  # r[:, i, j]: the probability of i among i and j
    for column, (i, j) in enumerate(pairs):
        r[:, i, j] = 1 / (1 + np.exp(-1.5 * decisions[:, column]))
        r[:, j, i] = 1 - r[:, i, j]
    q = -r.transpose(0, 2, 1) * r
    q[:, range(4), range(4)] = (r**2).sum(axis=1)
    product = np.einsum("nij,nj->ni", q, scores)  # equal for all i where the coupling is optimal
    assert np.abs(product - (product * scores).sum(axis=1, keepdims=True)).max() < 0.005 / 4 + 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_trees(target: Target, dtype: str) -> None:
    """Trees of three leaves: x[f] <= t, then x[g] > t."""
    count, columns = 37, 6
    f, g = rng.integers(0, columns, (2, count))
    t = rng.integers(-2, 3, (2, count)).astype(np.float32)
    weights = rng.random((count, 3)).astype(np.float32)
    x = rng.integers(-3, 4, (290, columns)).astype(dtype)
    tables = {
        "nodes_treeids": tuple(np.repeat(np.arange(count), 5).tolist()),
        "nodes_nodeids": tuple(np.tile(np.arange(5), count).tolist()),
        "nodes_featureids": tuple(np.stack([f, g, f * 0, f * 0, f * 0], 1).reshape(-1).tolist()),
        "nodes_values": tuple(np.stack([t[0], t[1], *[t[0] * 0] * 3], 1).reshape(-1).tolist()),
        "nodes_modes": ("BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF") * count,
        "nodes_truenodeids": (1, 2, 0, 0, 0) * count,
        "nodes_falsenodeids": (4, 3, 0, 0, 0) * count,
    }
    leaves = {"treeids": tuple(np.repeat(np.arange(count), 3).tolist()), "nodeids": (2, 3, 4) * count}
    flat = tuple(weights.reshape(-1).tolist())
    first = x[:, f] <= t[0]
    leaf = np.where(first, np.where(x[:, g] > t[1], 0, 1), 2)
    chosen = np.take_along_axis(weights[None], leaf[..., None], axis=2)[..., 0]
    regressor = TreeEnsembleRegressor(
        **tables, target_treeids=leaves["treeids"], target_nodeids=leaves["nodeids"], target_ids=(0,) * 3 * count,
        target_weights=flat, n_targets=1,
    )  # fmt: skip
    np.testing.assert_allclose(run(regressor, x, target=target)[0], chosen.sum(axis=1)[:, None], 1e-4, 1e-5)
    classifier = TreeEnsembleClassifier(
        **tables, class_treeids=leaves["treeids"], class_nodeids=leaves["nodeids"], class_ids=(0, 1, 2) * count,
        class_weights=flat, classlabels_int64s=(5, 6, 7),
    )  # fmt: skip
    expected = np.stack([np.where(leaf == k, chosen, 0).sum(axis=1) for k in range(3)], axis=1)
    label, scores = run(classifier, x, target=target, outputs=2)
    np.testing.assert_allclose(scores, expected, 1e-4, 1e-5)
    np.testing.assert_array_equal(label, 5 + scores.argmax(axis=1))


def test_ngrams(target: Target) -> None:
    pool = [(a, b) for a in range(5) for b in range(5)]
    record = TfIdfVectorizer(
        mode="TF", ngram_counts=(0, 0), ngram_indexes=tuple(range(25)), min_gram_length=2, max_gram_length=2,
        max_skip_count=1, pool_int64s=tuple(token for gram in pool for token in gram),
    )  # fmt: skip
    x = rng.integers(0, 6, (31, 40))
    expected = np.zeros((31, 36))
    for distance in (1, 2):
        for row, line in enumerate(x.tolist()):
            for start in range(40 - distance):
                expected[row, line[start] * 6 + line[start + distance]] += 1
    wanted = [a * 6 + b for a, b in pool]
    np.testing.assert_array_equal(run(record, x, target=target)[0], expected[:, wanted])
