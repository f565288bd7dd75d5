"""Operators of the user's: Python functions and records, and the page that documents them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import sardonyx
from sardonyx.inspection import Inspection
from sardonyx.ops.registry import user_operators

DOMAIN = "com.example"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    yield
    for domain, name in user_operators():
        sardonyx.unregister_operator(name, domain)


def model(nodes: str, inputs: str = "float[n, 4] x", outputs: str = "float[n, 4] y") -> onnx.ModelProto:
    header = f'<ir_version: 10, opset_import: ["": 21, "{DOMAIN}": 1]>'
    return onnx.parser.parse_model(f"{header} test ({inputs}) => ({outputs}) {{ {nodes} }}")


X = np.arange(8, dtype=np.float32).reshape(2, 4)


def run(made: onnx.ModelProto, **feeds: Any) -> Any:
    session = sardonyx.InferenceSession(made)
    results = session.run(None, feeds or {"x": X})
    return results[0] if len(results) == 1 else results


def test_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "custom-operators.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    module = ModuleType("documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # a dataclass looks for its module
    exec(compile("\n".join(blocks), "custom-operators.md", "exec"), module.__dict__)


@pytest.mark.parametrize("infer", [None, lambda x, *, by: (x.dtype, x.shape)])
def test_between_compiled_regions(infer: Any) -> None:
    sardonyx.register_operator("Shift", DOMAIN, lambda x, *, by=1: x + np.float32(by), infer=infer)
    made = model(f"h = Relu(x) s = {DOMAIN}.Shift<by = 3>(h) y = Mul(s, s)")
    if infer is None:
        with pytest.warns(RuntimeWarning, match="run in Python, which is slow: Mul"):
            result = run(made)
    else:
        result = run(made)
        assert [type(s).__name__ for s in sardonyx.InferenceSession(made).program.steps] == [
            "NativeStep", "HostStep", "NativeStep",
        ]  # fmt: skip
    np.testing.assert_array_equal(result, (np.maximum(X, 0) + 3) ** 2)


def test_sizes_that_depend_on_data() -> None:
    sardonyx.register_operator("Kept", DOMAIN, lambda x: x[x > 2], infer=lambda x: [(x.dtype, (None,))])
    made = model(f"s = {DOMAIN}.Kept(x) y = Add(s, s)", outputs="float[m] y")
    assert run(made).tolist() == [6, 8, 10, 12, 14]
    assert run(made, x=-X).tolist() == []


def test_several_outputs_and_omitted_inputs() -> None:
    seen = []

    @sardonyx.register_operator("Parts", DOMAIN, infer=lambda x, a, b: [(x.dtype, x.shape), ("int64", (2,))])
    def parts(x, a, b):
        seen.append((a, b))
        return x, np.array(x.shape)

    made = model(f"y, z = {DOMAIN}.Parts(x, , x)", outputs="float[n, 4] y, int64[2] z")
    y, z = run(made)
    assert seen[0][0] is None
    np.testing.assert_array_equal(y, X)
    assert z.tolist() == [2, 4]
    y[:] = 7
    assert X[0, 1] == 1  # a function may return its input, a session must not
    only = model(f"y = {DOMAIN}.Parts(x, , x)")
    np.testing.assert_array_equal(run(only), X)


def test_attributes() -> None:
    seen: dict[str, Any] = {}

    @sardonyx.register_operator("All", DOMAIN)
    def everything(x, *, i: int, f: float, s: str = "default", many: tuple[int, ...] = (), t: np.ndarray | None = None):
        seen.update(i=i, f=f, s=s, many=many, t=t)
        return x

    run(model(f"y = {DOMAIN}.All<i = 2, f = 1.5, many = [1, 2], t = float[2] {{1, 2}}>(x)"))
    assert (seen["i"], seen["f"], seen["s"], seen["many"], seen["t"].tolist()) == (2, 1.5, "default", (1, 2), [1, 2])
    for attributes, message in [
        ("i = 2", "'f' is required"),
        ("i = 2, f = 1.5, z = 1", "'z'"),
        ('i = "x", f = 1.5', "'i'"),
    ]:
        with pytest.raises(sardonyx.InvalidModelError, match=message):
            run(model(f"y = {DOMAIN}.All<{attributes}>(x)"))


def test_strings_and_sequences() -> None:
    sardonyx.register_operator("Shout", DOMAIN, lambda s: np.array([t.upper() for t in s], object))
    made = model(f"y = {DOMAIN}.Shout(x)", "string[n] x", "string[n] y")
    assert run(made, x=np.array(["a", "b"])).tolist() == ["A", "B"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: x.astype(np.float64), "infer function says float32"),
        (lambda x: x[:, :3], "infer function says"),
        (lambda x: x.__setitem__(0, 1), "read-only"),
        (lambda x: (), "expected 1 outputs"),
    ],
)
def test_what_goes_wrong_names_the_node(function: Any, message: str) -> None:
    sardonyx.register_operator("Bad", DOMAIN, function, infer=lambda x: (x.dtype, x.shape))
    made = model(f"s = {DOMAIN}.Bad(x) y = Relu(s)")
    made.graph.node[0].name = "culprit"
    with pytest.raises(sardonyx.ExecutionError, match=f"culprit.*{message}"):
        run(made)


def test_inspection_says_why_it_is_no_kernel(tmp_path: Path) -> None:
    sardonyx.register_operator("Twice", DOMAIN, lambda x: 2 * x)
    onnx.save(model(f"y = {DOMAIN}.Twice(x)"), tmp_path / "m.onnx")
    (step,) = Inspection(tmp_path / "m.onnx").steps
    assert (step.kind, step.reason) == ("host", "a Python function is registered for it")


def test_registration() -> None:
    made = model(f"y = {DOMAIN}.Twice(x)")
    with pytest.raises(sardonyx.UnsupportedOpError, match=r"com\.example"):
        run(made)
    assert callable(sardonyx.register_operator("Twice", DOMAIN, lambda x: 2 * x))
    np.testing.assert_array_equal(run(made), 2 * X)
    sardonyx.register_operator("Twice", DOMAIN, lambda x: 20 * x)  # no stale entry of a cache
    np.testing.assert_array_equal(run(made), 20 * X)
    sardonyx.unregister_operator("Twice", DOMAIN)
    with pytest.raises(sardonyx.UnsupportedOpError):
        run(made)
    with pytest.raises(KeyError):
        sardonyx.unregister_operator("Twice", DOMAIN)
    with pytest.raises(ValueError, match="registered twice"):
        sardonyx.register_operator("Relu", "", lambda x: x)
    with pytest.raises(ValueError, match="parameter of its own"):
        sardonyx.register_operator("Any", DOMAIN, lambda x, **attributes: x)


def test_constant_inputs_are_not_folded_away_wrongly() -> None:
    sardonyx.register_operator("Twice", DOMAIN, lambda x: 2 * x, infer=lambda x: (x.dtype, x.shape))
    made = model(f"c = Constant<value = float[4] {{1, 2, 3, 4}}>() t = {DOMAIN}.Twice(c) y = Add(t, x)")
    np.testing.assert_array_equal(run(made), X + np.array([2, 4, 6, 8], np.float32))
