"""Tree ensembles on the fallback, against ONNX Runtime."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier

from sardonyx.compiler import compile_model
from sardonyx.errors import ExecutionError, InvalidModelError
from sardonyx.runtime.pool import team

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
FEATURES = 5
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
TYPES["int32"] = TensorProto.INT32

Attributes = dict[str, Any]


def run_both(model: onnx.ModelProto, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, its sums change their order
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return run_ours(model, x), session.run(None, {session.get_inputs()[0].name: x})


def run_ours(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        program = compile_model(model)
    program.load(team(1), 1 << 30)
    return program.run([x])


def ensemble_model(attributes: Attributes, dtype: str) -> onnx.ModelProto:
    classifier = "class_ids" in attributes
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)]
    if classifier:
        kind = TensorProto.STRING if "classlabels_strings" in attributes else TensorProto.INT64
        outputs.insert(0, helper.make_tensor_value_info("labels", kind, None))
    op = "TreeEnsembleClassifier" if classifier else "TreeEnsembleRegressor"
    node = helper.make_node(op, ["x"], [o.name for o in outputs], "forest", domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], "test", [helper.make_tensor_value_info("x", TYPES[dtype], ["n", FEATURES])], outputs
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8
    )


def random_ensemble(
    rng: np.random.Generator, kind: str, targets: list[int], trees: int = 7, modes: list[str] = MODES, depth: int = 4
) -> Attributes:
    """Trees of random shape; every leaf has a weight for one or more of ``targets``, in random order."""
    table: Attributes = {f"nodes_{name}": [] for name in ("treeids", "nodeids", "featureids", "values", "modes")}
    for name in ("truenodeids", "falsenodeids", "missing_value_tracks_true"):
        table[f"nodes_{name}"] = []
    weights: list[tuple[int, int, int, float]] = []

    def grow(tree: int, level: int) -> int:
        place = len(table["nodes_treeids"])
        number = table["nodes_treeids"].count(tree)
        leaf = level == 0 or (level < depth and rng.random() < 0.2)
        table["nodes_treeids"].append(tree)
        table["nodes_nodeids"].append(number)
        table["nodes_featureids"].append(0 if leaf else int(rng.integers(FEATURES)))
        table["nodes_values"].append(0.0 if leaf else float(rng.integers(-2, 3)))
        table["nodes_modes"].append("LEAF" if leaf else modes[int(rng.integers(len(modes)))])
        table["nodes_missing_value_tracks_true"].append(0 if leaf else int(rng.integers(2)))
        table["nodes_truenodeids"].append(0)
        table["nodes_falsenodeids"].append(0)
        if leaf:
            for target in rng.permutation(targets)[: rng.integers(1, len(targets) + 1)]:
                weights.append((tree, number, int(target), float(np.float32(rng.normal()))))
        else:
            table["nodes_truenodeids"][place] = grow(tree, level - 1)
            table["nodes_falsenodeids"][place] = grow(tree, level - 1)
        return number

    for tree in range(trees):
        grow(tree, int(rng.integers(depth + 1)))
    for name, column in zip(("treeids", "nodeids", "ids", "weights"), zip(*weights, strict=True), strict=True):
        table[f"{kind}_{name}"] = list(column)
    return table


def random_input(rng: np.random.Generator, rows: int, dtype: str) -> np.ndarray:
    x = rng.integers(-3, 4, (rows, FEATURES)).astype(dtype)
    if dtype.startswith("float"):
        x += rng.choice([0, 0.5], x.shape).astype(dtype)
        x[rng.random(x.shape) < 0.1] = np.nan
    return x


def check_scores(got: np.ndarray, expected: np.ndarray, transform: str = "NONE") -> None:
    assert got.dtype == expected.dtype == np.float32
    loose = 1e-3 if transform == "PROBIT" else 1e-5  # its formula cancels around a score of 0.5
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=loose)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 2, 3])
def test_regressor(aggregate: str, transform: str, targets: int) -> None:
    rng = np.random.default_rng([len(aggregate), len(transform), targets])
    for rows, base in ((1, 0), (0, 0), (67, targets), (300, 0)):
        attributes = random_ensemble(rng, "target", list(range(targets)), trees=int(rng.integers(1, 9)))
        attributes |= {"n_targets": targets, "aggregate_function": aggregate, "post_transform": transform}
        if base:
            attributes["base_values"] = rng.normal(size=base).astype(np.float32).tolist()
        (got,), (expected,) = run_both(ensemble_model(attributes, "float32"), random_input(rng, rows, "float32"))
        check_scores(got, expected, transform)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", list(TYPES))
def test_modes_and_inputs(mode: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for tracks in (True, False):
        attributes = random_ensemble(rng, "class", [0, 1, 2], modes=[mode]) | {"classlabels_int64s": [4, 5, 6]}
        if not tracks:
            del attributes["nodes_missing_value_tracks_true"]
        (labels, scores), (wanted, expected) = run_both(ensemble_model(attributes, dtype), random_input(rng, 90, dtype))
        assert labels.tolist() == wanted.tolist()
        check_scores(scores, expected)


CASES = [
    ([0], 2, False),  # one column of scores for two classes, of either sign ...
    ([1], 2, False),
    ([0], 2, True),  # ... or all positive
    ([1], 2, True),
    ([0, 1], 2, False),
    ([0, 1, 2], 3, False),
    ([0, 3], 4, True),
    ([0], 1, False),
]


@pytest.mark.parametrize(("ids", "classes", "positive"), CASES)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("strings", [False, True])
def test_classifier(ids: list[int], classes: int, positive: bool, transform: str, strings: bool) -> None:
    rng = np.random.default_rng([len(transform), classes, *ids])
    for rows, bases in ((1, 0), (80, 0), (80, classes), (80, 1 if classes == 2 else 0)):
        attributes = random_ensemble(rng, "class", ids, trees=5) | {"post_transform": transform}
        if positive:
            attributes["class_weights"] = [abs(weight) / 5 for weight in attributes["class_weights"]]
        if strings and classes > 1:  # with a single name ONNX Runtime reads one that is not there
            attributes["classlabels_strings"] = [f"класс {i}" for i in range(classes)]
        else:
            attributes["classlabels_int64s"] = [7 + 3 * i for i in range(classes)]
        if bases:
            attributes["base_values"] = rng.normal(size=bases).astype(np.float32).tolist()
        x = random_input(rng, rows, "float32")
        (labels, scores), (expected_labels, expected) = run_both(ensemble_model(attributes, "float32"), x)
        assert labels.tolist() == expected_labels.tolist()
        if ids == [0] and transform == "PROBIT":  # ONNX Runtime leaves the second column as it finds it
            scores, expected = scores[:, :1], expected[:, :1]
        check_scores(scores, expected, transform)


@pytest.mark.parametrize("kind", ["target", "class"])
def test_tensor_attributes(kind: str) -> None:
    """With float64 tables sums and comparisons are float64, which float32 would get wrong."""
    rng = np.random.default_rng(11)
    attributes = random_ensemble(rng, kind, [0, 1, 2]) | (
        {"n_targets": 3} if kind == "target" else {"classlabels_int64s": [0, 1, 2]}
    )
    values = np.array(attributes.pop("nodes_values")) + 1e-12
    weights = np.array(attributes.pop(f"{kind}_weights")) + 1e8 * (np.arange(len(attributes[f"{kind}_ids"])) % 2)
    attributes["nodes_values_as_tensor"] = numpy_helper.from_array(values)
    attributes[f"{kind}_weights_as_tensor"] = numpy_helper.from_array(weights)
    attributes["base_values_as_tensor"] = numpy_helper.from_array(np.full(3, -2e8))
    x = np.round(random_input(rng, 100, "float64")) + 1e-12 * rng.choice([0, 1, 2], (100, FEATURES))
    got, expected = run_both(ensemble_model(attributes, "float64"), x)
    check_scores(got[-1], expected[-1])
    assert got[0].tolist() == expected[0].tolist()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", [RandomForestClassifier, GradientBoostingClassifier, GradientBoostingRegressor])
def test_scikit_learn(estimator: type, classes: int) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(700, FEATURES)).astype(np.float32)
    y = np.digitize(x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=700), [0.0, 0.5][: classes - 1])
    fitted = estimator(n_estimators=30, max_depth=6, random_state=0).fit(x, y)
    options = {"zipmap": False} if "Classifier" in estimator.__name__ else {}
    model = skl2onnx.to_onnx(fitted, x[:1], options={id(fitted): options}, target_opset={"": 18, "ai.onnx.ml": 3})
    for rows in (1, 700):
        got, expected = run_both(model, x[:rows])
        assert len(got) == len(expected)
        check_scores(got[-1], expected[-1])
        if options:
            assert got[0].tolist() == expected[0].tolist() == fitted.predict(x[:rows]).tolist()


STUMP: Attributes = {
    "n_targets": 1,
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [2, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "target_treeids": [0, 0],
    "target_nodeids": [1, 2],
    "target_ids": [0, 0],
    "target_weights": [1.0, 2.0],
}


def test_stump() -> None:
    x = np.array([[0, 0, 0.5, 0, 0], [0, 0, 0.6, 0, 0]], np.float32)
    assert run_ours(ensemble_model(STUMP, "float32"), x)[0].tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes_truenodeids": [7, 0, 0]}, "node 7 of tree 0, which is not among the nodes"),
        ({"nodes_truenodeids": [0, 0, 0]}, "cycle"),
        ({"nodes_modes": ["BRANCH_LEQ", "BRANCH_LT", "LEAF"]}, "cycle"),
        ({"nodes_nodeids": [0, 1, 1]}, "twice"),
        ({"nodes_modes": ["BRANCH_LEQ", "LEAF"]}, "expected 2"),
        ({"nodes_values": [0.5]}, "nodes_values has 1 entries; expected 3"),
        ({"nodes_modes": ["BRANCH_UP", "LEAF", "LEAF"]}, "BRANCH_UP"),
        ({"nodes_featureids": [-1, 0, 0]}, "-1"),
        ({"target_nodeids": [1, 9]}, "node 9 of tree 0"),
        ({"n_targets": 2, "target_ids": [0, 2]}, r"target_ids must lie in \[0, 2\)"),
        ({"n_targets": 0}, "at least one target"),
        ({"base_values": [1.0, 2.0]}, "base_values has 2 numbers; expected 0 or 1"),
        ({"post_transform": "TANH"}, "TANH"),
        ({"aggregate_function": "MEDIAN"}, "MEDIAN"),
    ],
)
def test_broken_tables(change: Attributes, message: str) -> None:
    with pytest.raises(InvalidModelError, match=f"forest.*{message}"):
        run_ours(ensemble_model(STUMP | change, "float32"), np.zeros((1, FEATURES), np.float32))


def test_column_out_of_range() -> None:
    model = ensemble_model(STUMP | {"nodes_featureids": [5, 0, 0]}, "float32")
    with pytest.raises(ExecutionError, match=r"forest.*column 5 of X, but X has 5 columns"):
        run_ours(model, np.zeros((1, FEATURES), np.float32))
