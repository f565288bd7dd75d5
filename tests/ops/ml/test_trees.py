"""Tree ensembles against ONNX Runtime."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
import pytest
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier

from ops.ml.against import node_model, reference_of, session_of
from sardonyx.errors import InvalidInputError, InvalidModelError

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
FEATURES = 5
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
TYPES["int32"] = TensorProto.INT32

Attributes = dict[str, Any]


def run_both(model: onnx.ModelProto, *inputs: np.ndarray) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    ours, theirs = session_of(model), reference_of(model)
    name = model.graph.input[0].name
    return [(ours.run(None, {name: x}), theirs.run(None, {name: x})) for x in inputs]


def run_ours(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    results: list[np.ndarray] = session_of(model).run(None, {model.graph.input[0].name: x})
    return results


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


@pytest.mark.parametrize(
    ("aggregate", "transform"),
    [*(("SUM", transform) for transform in TRANSFORMS), ("AVERAGE", "NONE"), ("MIN", "LOGISTIC"), ("MAX", "NONE")],
)
@pytest.mark.parametrize("targets", [1, 2, 3, 40])
def test_regressor(aggregate: str, transform: str, targets: int) -> None:
    rng = np.random.default_rng([len(aggregate), len(transform), targets])
    attributes = random_ensemble(rng, "target", list(range(targets)), trees=int(rng.integers(1, 9)))
    attributes |= {"n_targets": targets, "aggregate_function": aggregate, "post_transform": transform}
    if (targets + len(transform)) % 2:
        attributes["base_values"] = rng.normal(size=targets).astype(np.float32).tolist()
    inputs = [random_input(rng, rows, "float32") for rows in (1, 0, 67, 300)]
    for (got,), (expected,) in run_both(ensemble_model(attributes, "float32"), *inputs):
        check_scores(got, expected, transform)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", list(TYPES))
def test_modes_and_inputs(mode: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    tracks = bool((len(mode) + len(dtype)) % 2)
    attributes = random_ensemble(rng, "class", [0, 1, 2], modes=[mode]) | {"classlabels_int64s": [4, 5, 6]}
    if not tracks:
        del attributes["nodes_missing_value_tracks_true"]
    x = random_input(rng, 90, dtype)
    [((labels, scores), (wanted, expected))] = run_both(ensemble_model(attributes, dtype), x)
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
def test_classifier(ids: list[int], classes: int, positive: bool, transform: str) -> None:
    rng = np.random.default_rng([len(transform), classes, *ids])
    some = (0, classes) if transform == "NONE" else ((classes + len(transform)) % 2 * classes,)
    for bases in (0, 1, 2) if classes == 2 and transform == "NONE" else some:
        attributes = random_ensemble(rng, "class", ids, trees=5) | {"post_transform": transform}
        if positive:
            attributes["class_weights"] = [abs(weight) / 5 for weight in attributes["class_weights"]]
        if bases == classes > 1:  # with a single name ONNX Runtime reads one that is not there
            attributes["classlabels_strings"] = [f"класс {i}" for i in range(classes)]
        else:
            attributes["classlabels_int64s"] = [7 + 3 * i for i in range(classes)]
        if bases:
            attributes["base_values"] = rng.normal(size=bases).astype(np.float32).tolist()
        inputs = [random_input(rng, rows, "float32") for rows in (1, 80)]
        for (labels, scores), (wanted, expected) in run_both(ensemble_model(attributes, "float32"), *inputs):
            assert labels.tolist() == wanted.tolist()
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
    [(got, expected)] = run_both(ensemble_model(attributes, "float64"), x)
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
    for got, expected in run_both(model, x[:1], x):
        assert len(got) == len(expected)
        check_scores(got[-1], expected[-1])
        if options:
            assert got[0].tolist() == expected[0].tolist() == fitted.predict(x[: len(got[0])]).tolist()


def version_5(attributes: Attributes, rng: np.random.Generator, sets: bool) -> Attributes:
    """The tables of a regressor in the form of TreeEnsemble; with ``sets`` some tests become memberships."""
    leaf = np.array([mode == "LEAF" for mode in attributes["nodes_modes"]])
    keys = list(zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True))
    inner = {
        key: place for place, key in enumerate(key for key, is_leaf in zip(keys, leaf, strict=True) if not is_leaf)
    }
    weighted = list(zip(attributes["target_treeids"], attributes["target_nodeids"], strict=True))
    leaves = {key: place for place, key in enumerate(weighted)}
    rows = [place for place in range(len(keys)) if not leaf[place]]
    modes = np.array([MODES.index(attributes["nodes_modes"][place]) for place in rows], np.uint8)
    members: list[float] = []
    if sets:
        modes[rng.random(len(modes)) < 0.4] = 6
        for _ in range(int((modes == 6).sum())):
            members += [*rng.choice([-2.0, -1.0, 0.5, 1.0, 2.0, 1e-45], rng.integers(1, 5), replace=False), np.nan]
    result: Attributes = {
        "nodes_featureids": [attributes["nodes_featureids"][place] for place in rows],
        "nodes_splits": numpy_helper.from_array(np.array([attributes["nodes_values"][p] for p in rows], np.float32)),
        "nodes_modes": numpy_helper.from_array(modes),
        "nodes_missing_value_tracks_true": [attributes["nodes_missing_value_tracks_true"][place] for place in rows],
        "leaf_targetids": attributes["target_ids"],
        "leaf_weights": numpy_helper.from_array(np.array(attributes["target_weights"], np.float32)),
        "tree_roots": [inner[key] for key in keys if key[1] == 0],
        "n_targets": attributes["n_targets"],
    }
    if members:
        result["membership_values"] = numpy_helper.from_array(np.array(members, np.float32))
    for side in ("true", "false"):
        below = [(keys[place][0], attributes[f"nodes_{side}nodeids"][place]) for place in rows]
        result[f"nodes_{side}leafs"] = [int(key in leaves) for key in below]
        result[f"nodes_{side}nodeids"] = [leaves.get(key, inner.get(key, 0)) for key in below]
    return result


def ensemble_5(rng: np.random.Generator, targets: int, sets: bool) -> Attributes:
    """Trees with at least one test, and one weight in each leaf."""
    while True:
        attributes = random_ensemble(rng, "target", list(range(targets)), trees=6)
        keep = np.unique(
            np.array([attributes["target_treeids"], attributes["target_nodeids"]]), axis=1, return_index=True
        )[1]
        for name in ("treeids", "nodeids", "ids", "weights"):
            attributes[f"target_{name}"] = [attributes[f"target_{name}"][place] for place in sorted(keep)]
        roots = [m for m, node in zip(attributes["nodes_modes"], attributes["nodes_nodeids"], strict=True) if node == 0]
        if "LEAF" not in roots:
            return version_5(attributes | {"n_targets": targets}, rng, sets)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("sets", [False, True])
def test_version_5(dtype: str, targets: int, sets: bool) -> None:
    rng = np.random.default_rng([targets, sets])
    x = random_input(rng, 90, "float32").astype(dtype)
    x[::7, 1] = 1e-45  # the number next to 0
    for aggregate in (0, 1) if sets else (targets, 4 - targets):  # onnx's reference implementation ends a set at 0, too
        attributes = ensemble_5(rng, targets, sets) | {"aggregate_function": aggregate}
        if dtype != "float32":
            for name in ("nodes_splits", "leaf_weights", "membership_values"):
                if name in attributes:
                    table = numpy_helper.to_array(attributes[name])
                    attributes[name] = numpy_helper.from_array(table.astype(dtype))
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        model = node_model("TreeEnsemble", {"x": x}, [kind], 5, **attributes)
        (got,) = session_of(model).run(None, {"x": x})
        assert got.dtype == x.dtype
        if dtype == "float16":
            for name in ("nodes_splits", "leaf_weights", "membership_values"):
                if name in attributes:
                    table = numpy_helper.to_array(attributes[name])
                    attributes[name] = numpy_helper.from_array(table.astype(np.float32))
            wide = x.astype(np.float32)
            model = node_model("TreeEnsemble", {"x": wide}, [TensorProto.FLOAT], 5, **attributes)
            (expected,) = session_of(model).run(None, {"x": wide})
            np.testing.assert_allclose(got, expected, 2e-3, 2e-3)
        else:
            oracle = ReferenceEvaluator(model) if sets else reference_of(model)  # ONNX Runtime has small integers only
            np.testing.assert_allclose(got, oracle.run(None, {"x": x})[0], 1e-5, 1e-5)


def test_threads_and_batches_give_the_same_bits() -> None:
    rng = np.random.default_rng(3)
    attributes = random_ensemble(rng, "target", [0, 1, 2], trees=60) | {"n_targets": 3}
    model = ensemble_model(attributes, "float32")
    x = random_input(rng, 700, "float32")
    (whole,) = session_of(model).run(None, {"x": x})
    (threaded,) = session_of(model, threads=2).run(None, {"x": x})
    np.testing.assert_array_equal(whole, threaded)
    session = session_of(model)
    rows = [session.run(None, {"x": x[start:stop]})[0] for start, stop in ((0, 1), (1, 4), (4, 300), (300, 700))]
    np.testing.assert_array_equal(whole, np.concatenate(rows))


def test_random_changes_of_tables_never_crash() -> None:
    rng = np.random.default_rng(8)
    x = random_input(rng, 20, "float32")
    for _ in range(12):
        attributes = random_ensemble(rng, "target", [0, 1], trees=3, depth=3) | {"n_targets": 2}
        name = str(rng.choice([n for n in attributes if isinstance(attributes[n], list)]))
        table = list(attributes[name])
        if name != "nodes_modes" and table:
            table[int(rng.integers(len(table)))] = type(table[0])(rng.choice([-1, 0, 1, 2, 7, 2**31, -(2**63)]))
            if "nodes_values" not in name:
                attributes[name] = table
        with contextlib.suppress(InvalidModelError, InvalidInputError):
            session_of(ensemble_model(attributes, "float32")).run(None, {"x": x})


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
    message = "forest.*column 5 of X, but X has"
    with pytest.raises(InvalidModelError, match=message):
        run_ours(model, np.zeros((1, FEATURES), np.float32))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "c"
    with pytest.raises(InvalidInputError, match=message):
        run_ours(model, np.zeros((1, FEATURES), np.float32))
    assert run_ours(model, np.zeros((1, 6), np.float32))[0].tolist() == [[1.0]]
