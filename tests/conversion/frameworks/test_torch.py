"""PyTorch: what is recognised, what the exporters are helped with, and what is refused by name."""

from __future__ import annotations

import dataclasses
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import sardonyx
from sardonyx.conversion import recognise
from sardonyx.conversion.frameworks.torch import Torch

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


class Branching(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return self.first(x)
        return -self.first(x)


class FixedBatch(nn.Module):  # type: ignore[name-defined, misc]
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, -1).flip(1).reshape(2, 4)


@dataclasses.dataclass
class Answer:
    logits: Any = None
    loss: Any = None
    states: Any = None


class Nested(nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.cell = nn.LSTM(4, 5, batch_first=True)

    def forward(self, ids: Any, states: Any, scale: float = 1.0) -> Answer:
        given, after = self.cell(self.table(ids) * scale, (states["h"], states["c"]))
        return Answer(given, None, after)


EXAMPLE = (torch.zeros(1, 4),)


@pytest.fixture
def small() -> Any:
    torch.manual_seed(0)
    return Small().eval()


def sizes(model: Any) -> dict[str, list[Any]]:
    return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}


def test_each_file_is_recognised_without_unpickling(small: Any, tmp_path: Path) -> None:
    torch.save(small, tmp_path / "module.pt")
    torch.save(small.state_dict(), tmp_path / "weights.pth")
    torch.save(small.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 1, "state_dict": small.state_dict()}, tmp_path / "checkpoint.pt")
    torch.jit.script(small).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(small, (torch.zeros(2, 4),)), tmp_path / "program.pt2")
    found = {path.name: recognise(path) for path in tmp_path.iterdir()}
    kinds = {name: (form.kind, form.runs_code) for name, form in found.items()}
    assert kinds == {
        "module.pt": ("a pickled PyTorch module", True),
        "weights.pth": ("PyTorch weights", False),
        "old.pt": ("PyTorch weights", False),
        "checkpoint.pt": ("PyTorch weights", False),
        "script.pt": ("a TorchScript module", False),
        "program.pt2": ("an exported program (.pt2)", False),
    }


def test_a_pickle_inside_a_program_needs_trust(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(small, (torch.zeros(2, 4),)), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("program/data/constants/extra.pt", pickle.dumps(Path("x"), protocol=2))
    with pytest.raises(sardonyx.UntrustedSourceError, match="pickled objects"):
        sardonyx.convert(path)


def test_the_batch_is_open_and_training_mode_stays() -> None:
    module = Small()
    result = sardonyx.convert(module, example_inputs=EXAMPLE, rows=20)
    assert sizes(result.model) == {"x": ["batch", 4]}
    assert result.certificate.passed
    assert result.certificate.notes == ["converted in eval mode; the module stays in training mode"]
    assert module.training
    assert module.norm.training
    assert not any(node.metadata_props for node in result.model.graph.node)


def test_a_batch_that_the_module_fixes_is_named() -> None:
    result = sardonyx.convert(FixedBatch().eval(), example_inputs=np.zeros((2, 4), np.float32))
    assert sizes(result.model) == {"x": [2, 4]}
    assert result.certificate.passed
    assert "the batch stays 2" in result.certificate.notes[0]
    assert "test_torch.py" in result.certificate.notes[0]


def test_nested_arguments_and_results() -> None:
    torch.manual_seed(0)
    state = torch.zeros(1, 1, 5)
    example = {"ids": torch.zeros(1, 6, dtype=torch.int64), "states": {"h": state, "c": state}, "scale": 2.0}
    result = sardonyx.convert(Nested().eval(), example_inputs=example, dynamic_axes={"ids": {1: "sequence"}}, rows=20)
    batched = [1, "batch", 5]
    assert sizes(result.model) == {"ids": ["batch", "sequence"], "states.h": batched, "states.c": batched}
    assert [value.name for value in result.model.graph.output] == ["logits", "states_0", "states_1"]
    assert "scale = 2.0 is part of the model, as in the example" in result.certificate.notes
    assert result.certificate.passed


def test_weights_with_a_factory(small: Any, tmp_path: Path) -> None:
    wrapped = {f"module.{name}": value for name, value in small.state_dict().items()}
    torch.save({"epoch": 1, "model_state_dict": wrapped}, tmp_path / "m.pt")
    result = sardonyx.convert(tmp_path / "m.pt", factory=Small, example_inputs=EXAMPLE, rows=20)
    assert result.certificate.passed
    assert any("'module.'" in note for note in result.certificate.notes)


def test_programs_and_scripts(small: Any, tmp_path: Path) -> None:
    batch = torch.export.Dim("batch")
    program = torch.export.export(small, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "m.pt2")
    torch.jit.script(small).save(tmp_path / "m.pt")
    for path, example in ((tmp_path / "m.pt2", None), (tmp_path / "m.pt", EXAMPLE)):
        result = sardonyx.convert(path, example_inputs=example, rows=20)
        assert sizes(result.model) == {"x": ["batch", 4]}
        assert result.certificate.passed


def refusals(tmp_path: Path) -> list[tuple[Any, dict[str, Any], str]]:
    weights = tmp_path / "w.pt"
    torch.save(Small().state_dict(), weights)
    cut, foreign = tmp_path / "cut.pt", tmp_path / "foreign.pt"
    cut.write_bytes(weights.read_bytes()[:900])
    foreign.write_bytes(b"nothing of the kind" * 100)
    counting = Small()
    counting.forward = lambda x: counting.norm.running_mean.add_(1) + x.sum()  # type: ignore[method-assign]

    def fails() -> Any:
        raise ValueError("no such width")

    return [
        (Small(), {}, r"has to see one.*--example 1x3x224x224.*forward takes: x"),
        (Small(), {"example_inputs": torch.zeros(1, 5)}, "cannot be called with the example inputs"),
        (
            Small(),
            {"example_inputs": EXAMPLE, "dynamic_axes": {"y": {1: "s"}}},
            "dynamic_axes names y; the inputs are x",
        ),
        (Branching(), {"example_inputs": EXAMPLE}, r"test_torch\.py:\d+ \(if x\.sum\(\) > 0:\).*torch\.cond"),
        (Small(), {"example_inputs": EXAMPLE, "opset": 5}, "as opset 7 to 20; 5 was asked for"),
        (
            FixedBatch(),
            {"example_inputs": torch.zeros(2, 4), "dynamic_axes": {"x": {0: "rows"}}},
            r"'rows' cannot be left",
        ),
        (counting, {"example_inputs": EXAMPLE}, r"norm\.running_mean.*keeps nothing from call to call"),
        (weights, {}, r"weights only \(first\.weight, first\.bias.*--factory MODULE:FUNCTION"),
        (weights, {"factory": fails}, "the factory failed: ValueError: no such width"),
        (weights, {"factory": Nested}, r"missing table\.weight.*unexpected first\.weight"),
        (cut, {"factory": Small}, r"cut\.pt \(PyTorch weights\) cannot be read.*damaged"),
        (foreign, {"factory": Small}, r"foreign\.pt.*cannot be read.*damaged"),
    ]


def test_refusals_say_what_and_what_to_do(tmp_path: Path) -> None:
    for source, settings, message in refusals(tmp_path):
        with pytest.raises(sardonyx.ConversionError, match=message):
            sardonyx.convert(source, **settings)


def test_a_missing_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = type("Gone", (Small,), {"__module__": __name__, "__qualname__": "Gone"})
    monkeypatch.setitem(globals(), "Gone", gone)
    torch.save(gone(), tmp_path / "m.pt")
    monkeypatch.delitem(globals(), "Gone")
    with pytest.raises(sardonyx.ConversionError, match=r"needs a class that cannot be imported.*Gone.*\.pt2"):
        sardonyx.convert(tmp_path / "m.pt", trust=True, example_inputs=EXAMPLE)


def test_the_first_layer_that_differs_is_named(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion's weights are damaged in one layer."""
    export = Torch.export

    def damaged(*args: Any) -> Any:
        exported = export(*args)
        weights = next(t for t in exported.model.graph.initializer if "last.weight" in t.name)
        weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.1), weights.name))
        return exported

    monkeypatch.setattr(Torch, "export", damaged)
    source = nn.Sequential(Small(), nn.Softmax(-1)).eval()
    certificate = sardonyx.convert(source, example_inputs=EXAMPLE, rows=20).certificate
    assert not certificate.passed
    assert re.match(r"0\.last \(\w+\): relative difference", certificate.first_difference)


class Packed(nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True, total_length=6)[0]


def test_packed_sequences_are_traced_and_their_lengths_stay_possible() -> None:
    torch.manual_seed(0)
    example = (torch.randn(3, 6, 3), torch.tensor([6, 2, 4]))
    result = sardonyx.convert(Packed().eval(), example_inputs=example, rows=40)
    assert result.certificate.passed
    assert result.certificate.data["origin"] == "types"
    assert "traced by one call" in result.certificate.notes[0]
