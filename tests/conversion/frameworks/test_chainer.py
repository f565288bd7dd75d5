"""Chains of Chainer: factories, weights that do not fit, batches, what cannot be converted. Needs the isolated
environment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sardonyx
from conversion.cases.chainer import FILE
from conversion.cases.isolated import made
from sardonyx.conversion.frameworks.chainer import Chainer
from sardonyx.errors import ConversionError

ROW = np.zeros((1, 20), np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return Path(shutil.copy(made(Chainer.environment, FILE.name) / "mlp.npz", tmp_path))


def factory(folder: Path, body: str) -> str:
    (folder / "helper_of_mine.py").write_text("SIZE = 64\n")
    head = "import chainer, chainer.functions as F, chainer.links as L, numpy as np\nfrom helper_of_mine import SIZE\n"
    (folder / "f.py").write_text(head + body)
    return f"{folder / 'f.py'}:make"


def shapes(result: sardonyx.Conversion) -> list[list[Any]]:
    session = result.session()
    return [list(value.shape) for value in (*session.get_inputs(), *session.get_outputs())]


def test_a_factory_of_several_files(weights: Path) -> None:
    body = (
        "def make():\n"
        "    print('chatter')\n"
        "    return chainer.Sequential(L.Linear(20, SIZE), F.relu, F.dropout, L.Linear(SIZE, 32), F.tanh, "
        "L.Linear(32, 10))\n"
    )
    chain = factory(weights.parent, body)
    result = sardonyx.convert(weights, weights.with_suffix(".onnx"), chain=chain, example_inputs=ROW, opset=13)
    assert result.certificate.passed
    assert shapes(result) == [["batch", 20], ["batch", 10]]
    assert result.certificate.model["opsets"] == {"ai.onnx": 13}
    fixed = sardonyx.convert(weights, chain=chain, example_inputs=np.zeros((1, 20)), dynamic=False)
    assert shapes(fixed) == [[1, 20], [1, 10]]
    left = sorted(entry.name for entry in weights.parent.iterdir())
    assert left == ["f.py", "helper_of_mine.py", "mlp.certificate.json", "mlp.npz", "mlp.onnx"]


def test_examples_by_name_are_named_arguments() -> None:
    example = {"picture": np.zeros((1, 3, 12, 12), np.float32), "table": np.zeros((1, 6), np.float32)}
    source = made(Chainer.environment, FILE.name) / "Several.npz"
    result = sardonyx.convert(source, chain=f"{FILE}:Several", example_inputs=example)
    assert result.certificate.passed
    assert [value.name for value in result.session().get_inputs()] == ["picture", "table"]
    assert [value.name for value in result.session().get_outputs()] == ["kind", "price"]


def test_a_chain_for_one_batch_keeps_it(weights: Path) -> None:
    body = (
        "class Chain(chainer.Sequential):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) * np.arange(len(x), dtype='f')[:, None]\n"
        "def make():\n"
        "    return Chain(L.Linear(20, SIZE), F.relu, F.dropout, L.Linear(SIZE, 32), F.tanh, L.Linear(32, 10))\n"
    )
    example = np.zeros((4, 20), np.float32)
    result = sardonyx.convert(weights, chain=factory(weights.parent, body), example_inputs=example)
    assert result.certificate.passed
    assert shapes(result) == [[4, 20], [4, 10]]
    assert any(note.startswith("the batch stays 4, as in the example") for note in result.certificate.notes)


@pytest.mark.parametrize(
    ("made_by", "message"),
    [
        ("chainer.Sequential(L.Linear(20, 63))", r"the weight 0/[Wb] has shape \[64.*\], .* takes \[63"),
        ("L.Classifier(L.Linear(20, 64))", r"the weights lack predictor/[Wb]: does the factory make the chain"),
        ("L.Linear(20, 64)", r"the weights lack [Wb], but hold .*--option path="),
        ("len", r"make of .* gave an object of builtin_function_or_method, not a Link"),
        ("1 / 0", r"ZeroDivisionError: division by zero; its last lines were\n(.*\n)*.*f\.py"),
        ("exit()", r"SystemExit: None; its last lines"),
    ],
)
def test_factories_that_do_not_fit(weights: Path, made_by: str, message: str) -> None:
    chain = factory(weights.parent, f"def make():\n    return {made_by}\n")
    with pytest.raises(ConversionError, match=message):
        sardonyx.convert(weights, chain=chain, example_inputs=ROW)


def test_a_function_without_an_onnx_form_is_named() -> None:
    source = made(Chainer.environment, FILE.name) / "foreign.npz"
    with pytest.raises(ConversionError, match="has no ONNX form for the function Erf"):
        sardonyx.convert(source, chain=f"{FILE}:foreign", example_inputs=ROW)


def test_functions_that_are_written_anew_are_told() -> None:
    source = made(Chainer.environment, FILE.name) / "sequences.npz"
    chain, example = f"{FILE}:sequences", np.zeros((2, 6, 8), np.float32)
    result = sardonyx.convert(source, chain=chain, example_inputs=example)
    assert result.certificate.passed
    ours, batch = result.certificate.notes
    assert ours.endswith("were written anew: LSTM, Permutate")
    assert batch.startswith("the batch stays 2, as in the example, because the chain is made for it: its steps depend")
