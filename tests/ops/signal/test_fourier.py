"""DFT, STFT and MelWeightMatrix against numpy in float64 and onnx's reference implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import sardonyx

Array = npt.NDArray[Any]


def one_node(
    op_type: str, inputs: dict[str, Array | None], constants: tuple[str, ...] = (), opset: int = 20, **attributes: Any
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model of one node with symbolic sizes, and its feeds."""
    feeds = {name: x for name, x in inputs.items() if x is not None and name not in constants}
    names = [name if x is not None else "" for name, x in inputs.items()]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["y"], **attributes)],
        "test",
        [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(x.dtype),
                [f"{name}{k}" if k < x.ndim - 1 else n for k, n in enumerate(x.shape)],
            )
            for name, x in feeds.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
        [numpy_helper.from_array(x, name) for name in constants if (x := inputs[name]) is not None],
    )
    graph.output[0].ClearField("type")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), feeds


def ours(model: onnx.ModelProto, feeds: dict[str, Array], threads: int = 1) -> Array:
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    session = sardonyx.InferenceSession(model.SerializeToString(), options)
    assert not session.program.python_steps
    return np.asarray(session.run(None, feeds)[0])


def numbers(shape: tuple[int, ...], parts: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(0).standard_normal((*shape, parts)).astype(dtype)


def as_complex(x: Array) -> Array:
    wide = x.astype(np.float64)
    return wide[..., 0] if x.shape[-1] == 1 else wide[..., 0] + 1j * wide[..., 1]


def as_parts(x: Array) -> Array:
    return np.stack([x.real, x.imag], -1)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 10, 17, 64, 100, 127, 1000])
@pytest.mark.parametrize("parts", [1, 2])
def test_lengths(n: int, parts: int) -> None:
    x = numbers((3, n, 5), parts)
    model, feeds = one_node("DFT", {"x": x, "": None, "axis": np.array(1, np.int64)}, ("axis",))
    got = ours(model, feeds)
    np.testing.assert_allclose(got, as_parts(np.fft.fft(as_complex(x), axis=1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got, ours(model, feeds, threads=2))


@pytest.mark.parametrize("length", [4, 9, 16, 25])
@pytest.mark.parametrize("inverse", [0, 1])
def test_cut_and_filled_up(length: int, inverse: int) -> None:
    x = numbers((2, 13), 2, "float64")
    model, feeds = one_node("DFT", {"x": x, "n": np.array(length, np.int64)}, ("n",), inverse=inverse)
    transform = np.fft.ifft if inverse else np.fft.fft
    want = as_parts(transform(as_complex(x), length, axis=1))
    np.testing.assert_allclose(ours(model, feeds), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 12, 16, 33])
def test_one_sided_there_and_back(n: int) -> None:
    x = numbers((2, n, 3), 1)
    model, feeds = one_node("DFT", {"x": x, "": None, "axis": np.array(1, np.int64)}, ("axis",), onesided=1)
    half = ours(model, feeds)
    np.testing.assert_allclose(half, as_parts(np.fft.rfft(as_complex(x), axis=1)), rtol=1e-5, atol=1e-5)
    given = {"x": half, "n": np.array(n, np.int64), "axis": np.array(1, np.int64)}
    model, feeds = one_node("DFT", given, ("n", "axis"), onesided=1, inverse=1)
    np.testing.assert_allclose(ours(model, feeds), x, rtol=1e-5, atol=1e-5)


def test_half_precision_and_no_lines() -> None:
    x = numbers((2, 20), 1, "float16")
    model, feeds = one_node("DFT", {"x": x})
    want = as_parts(np.fft.fft(as_complex(x), axis=1))
    np.testing.assert_allclose(ours(model, feeds).astype(np.float64), want, rtol=2e-3, atol=2e-3)
    model, feeds = one_node("DFT", {"x": numbers((0, 20), 1)})
    assert ours(model, feeds).shape == (0, 20, 2)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("windowed", [False, True])
def test_stft(onesided: int, windowed: bool) -> None:
    signal = numbers((2, 61), 1)
    inputs: dict[str, Array | None] = {"signal": signal, "step": np.array(5, np.int64)}
    inputs |= {"window": np.hanning(12).astype(np.float32)} if windowed else {"": None}
    inputs["length"] = np.array(12, np.int64)
    constants = ("step", "window", "length") if windowed else ("step", "length")
    model, feeds = one_node("STFT", inputs, constants, opset=17, onesided=onesided)
    frames = np.stack([signal[:, k * 5 : k * 5 + 12, 0].astype(np.float64) for k in range(10)], 1)
    frames = frames * (np.hanning(12) if windowed else 1.0)
    want = as_parts((np.fft.rfft if onesided else np.fft.fft)(frames, axis=-1))
    np.testing.assert_allclose(ours(model, feeds), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("bands", "length", "rate", "low", "high"), [(8, 16, 8192, 0.0, 4096.0), (5, 63, 9000, 20, 3e3)]
)
def test_mel_weights(bands: int, length: int, rate: int, low: float, high: float) -> None:
    inputs: dict[str, Array | None] = {
        "bands": np.array(bands, np.int64),
        "length": np.array(length, np.int64),
        "rate": np.array(rate, np.int64),
        "low": np.array(low, np.float32),
        "high": np.array(high, np.float32),
    }
    model, feeds = one_node("MelWeightMatrix", inputs, tuple(inputs), opset=17)
    (want,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(ours(model, feeds), want, rtol=1e-6, atol=1e-7)
