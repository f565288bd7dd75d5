"""Encoders and maps against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from ops.ml.against import FLOAT, INT64, STRING, check, node_model, run_ours
from sardonyx.errors import ExecutionError, InvalidModelError

INTEGERS = np.random.default_rng(0).integers(-4, 10, (5, 9))
NUMBERS = np.array([[1.5, np.nan, 0.0, -0.0, 3.0, 2.0, np.inf]], np.float32)
TEXTS = np.array([["a", "zz", "é", ""]], object)
KEYS: dict[str, Any] = {
    "keys_int64s": [5, 1, 9, -3],
    "keys_floats": [1.5, float("nan"), -0.0, 3.0],
    "keys_strings": ["a", "bc", "", "é"],
}
VALUES: dict[str, tuple[int, Any]] = {
    "values_int64s": (INT64, [1, 2, 3, 4]),
    "values_floats": (FLOAT, [1.0, 2.0, 3.0, 4.0]),
    "values_strings": (STRING, ["p", "q", "", "s"]),
}


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("values", VALUES)
def test_label_encoder(keys: str, values: str) -> None:
    x = {"keys_int64s": INTEGERS, "keys_floats": NUMBERS, "keys_strings": TEXTS}[keys]
    kind, given = VALUES[values]
    check("LabelEncoder", x, [kind], 4, rows=[0], **{keys: KEYS[keys], values: given})
    check("LabelEncoder", x, [kind], 4, default_int64=70, default_string="?", default_float=0.5,
          **{keys: KEYS[keys], values: given})  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 17, 1000])
def test_many_keys(count: int) -> None:
    rng = np.random.default_rng(count)
    keys = rng.choice(5000, count, replace=False)
    x = rng.integers(0, 5000, 3000)
    x[::2] = rng.choice(keys, len(x[::2]))
    check("LabelEncoder", x, [INT64], 4, keys_int64s=keys.tolist(), values_int64s=rng.integers(0, 99, count).tolist())


def test_label_encoder_by_tensors() -> None:
    def tensor(*items: Any, dtype: str) -> TensorProto:
        return numpy_helper.from_array(np.array(items, dtype))

    doubles = {"keys_tensor": tensor(5, 1, np.nan, dtype="float64"), "values_tensor": tensor(1, 2, 3, dtype="float64")}
    x = np.append(INTEGERS.astype(float), np.nan)
    check("LabelEncoder", x, [TensorProto.DOUBLE], 4, default_tensor=tensor(7, dtype="float64"), **doubles)
    short = {"keys_tensor": tensor("a", "é", dtype="object"), "values_tensor": tensor(1, 2, dtype="int16")}
    check("LabelEncoder", TEXTS, [TensorProto.INT16], 4, default_tensor=tensor(7, dtype="int16"), **short)


def test_one_hot_encoder() -> None:
    check("OneHotEncoder", INTEGERS, [FLOAT], rows=[0], cats_int64s=[5, 1, 9])
    check("OneHotEncoder", INTEGERS, [FLOAT], cats_int64s=[*range(40)])
    check("OneHotEncoder", NUMBERS[:, 2:6], [FLOAT], cats_int64s=[0, 1, 9])
    check("OneHotEncoder", TEXTS, [FLOAT], cats_strings=KEYS["keys_strings"])
    check("OneHotEncoder", INTEGERS % 3, [FLOAT], cats_int64s=[0, 1, 2], zeros=0)


@pytest.mark.parametrize(
    ("x", "attributes"), [(INTEGERS, {"cats_int64s": [5, 1]}), (TEXTS, {"cats_strings": ["a"]})], ids=["int", "string"]
)
def test_no_category(x: np.ndarray, attributes: dict[str, Any]) -> None:
    with pytest.raises(ExecutionError, match="categor"):
        run_ours(node_model("OneHotEncoder", {"x": x}, [FLOAT], zeros=0, **attributes), {"x": x})


def test_category_mapper() -> None:
    check("CategoryMapper", INTEGERS, [STRING], cats_int64s=[5, 1, 9, 0], cats_strings=KEYS["keys_strings"])
    check("CategoryMapper", TEXTS, [INT64], cats_int64s=[5, 1, 9, 0], cats_strings=KEYS["keys_strings"])


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("LabelEncoder", {"keys_int64s": [1], "values_int64s": [1, 2]}, "1 keys for 2 values"),
        (
            "LabelEncoder",
            {"keys_int64s": [1], "keys_floats": [1.0], "values_int64s": [1]},
            "exactly one attribute keys",
        ),
        ("LabelEncoder", {"keys_int64s": [1]}, "exactly one attribute values"),
        ("LabelEncoder", {"keys_strings": ["a"], "values_int64s": [1]}, "type int64, the keys are string"),
        ("OneHotEncoder", {}, "either cats_int64s or cats_strings"),
        ("OneHotEncoder", {"cats_int64s": [1, 1]}, "given twice"),
        ("OneHotEncoder", {"cats_strings": ["a"]}, "another type"),
    ],
)
def test_wrong_attributes(op: str, attributes: dict[str, Any], message: str) -> None:
    version, kind = (4, INT64) if op == "LabelEncoder" else (1, FLOAT)
    with pytest.raises(InvalidModelError, match=message):
        run_ours(node_model(op, {"x": INTEGERS}, [kind], version, **attributes), {"x": INTEGERS})


def map_model(op: str, given: Any, result: Any, **attributes: Any) -> Any:
    node = helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "test", [given], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 1)], ir_version=8)


def map_info(name: str, key: int, value: int) -> Any:
    kind = helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, None))
    return helper.make_value_info(name, kind)


def test_zip_map() -> None:
    scores = helper.make_tensor_value_info("x", FLOAT, [None, 3])
    entry = helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, None))
    result = helper.make_value_info("y", helper.make_sequence_type_proto(entry))
    model = map_model("ZipMap", scores, result, classlabels_strings=["a", "b", "c"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert run_ours(model, {"x": x}) == [[{"a": 0, "b": 1, "c": 2}, {"a": 3, "b": 4, "c": 5}]]
    with pytest.raises(ExecutionError, match="expected \\(n, 3\\)"):
        run_ours(map_model("ZipMap", helper.make_tensor_value_info("x", FLOAT, [None, None]), result,
                           classlabels_strings=["a", "b", "c"]), {"x": x[:, :2]})  # fmt: skip


@pytest.mark.parametrize("keys", ["string", "int64"])
def test_dict_vectorizer(keys: str) -> None:
    names: list[Any] = ["a", "b", "c"] if keys == "string" else [3, 5, 7]
    given = map_info("x", STRING if keys == "string" else INT64, FLOAT)
    result = helper.make_tensor_value_info("y", FLOAT, None)
    model = map_model("DictVectorizer", given, result, **{f"{keys}_vocabulary": names})
    (got,) = run_ours(model, {"x": {names[2]: 1.5, names[0]: 2.0}})
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [[2, 0, 1.5]])


def test_cast_map() -> None:
    x = {5: 1.5, 2: 2.5}
    for form, kind, dtype, expected in (
        ("DENSE", FLOAT, "TO_FLOAT", [[2.5, 1.5]]),
        ("SPARSE", INT64, "TO_INT64", [[0, 0, 2, 0, 0, 1, 0]]),
    ):
        result = helper.make_tensor_value_info("y", kind, None)
        attributes = {"map_form": form, "cast_to": dtype, "max_map": 7}
        (got,) = run_ours(map_model("CastMap", map_info("x", INT64, FLOAT), result, **attributes), {"x": x})
        np.testing.assert_array_equal(got, expected)
    model = map_model("CastMap", map_info("x", INT64, FLOAT), result, map_form="SPARSE", max_map=3)
    with pytest.raises(ExecutionError, match="key 5 is outside"):
        run_ours(model, {"x": x})
    assert sardonyx.InferenceSession(model).program.python_steps == ()
