"""Inputs from files and at random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sardonyx import dtypes
from sardonyx.cli.feeds import ImageScaling, InputSpec, random_feeds, read_feeds
from sardonyx.errors import InvalidInputError

X = InputSpec("x", dtypes.float32, ("batch", 3))
IDS = InputSpec("ids", dtypes.int64, ("batch", "seq"))


def test_random_inputs_have_the_declared_type_and_the_wanted_size() -> None:
    feeds = random_feeds([X, IDS], {"batch": 4, "seq": 7}, seed=1, below=100)
    assert feeds["x"].dtype == np.float32
    assert feeds["x"].shape == (4, 3)
    assert feeds["ids"].dtype == np.int64
    assert feeds["ids"].shape == (4, 7)
    assert 0 <= feeds["ids"].min() <= feeds["ids"].max() < 100
    again = random_feeds([X, IDS], {"batch": 4, "seq": 7}, seed=1, below=100)
    np.testing.assert_array_equal(feeds["ids"], again["ids"])


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_random_inputs_of_every_type(dtype: dtypes.DType) -> None:
    (value,) = random_feeds([InputSpec("v", dtype, (2, "n"))], {}).values()
    assert value.dtype == dtype.numpy
    assert value.shape == (2, 1)


def test_a_size_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no symbolic size 'bath'; it has: batch"):
        random_feeds([X], {"bath": 2})


def test_npz_holds_inputs_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3), np.float32), ids=np.zeros((1, 2), np.int64))
    feeds = read_feeds([X, IDS], [str(tmp_path / "in.npz")])
    assert set(feeds) == {"x", "ids"}


def test_npy_needs_a_name_only_where_there_are_several_inputs(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((1, 3), np.float32))
    assert read_feeds([X], [str(path)])["x"].shape == (1, 3)
    assert read_feeds([X, IDS], [f"x={path}"])["x"].shape == (1, 3)
    with pytest.raises(InvalidInputError, match="say which input it is"):
        read_feeds([X, IDS], [str(path)])
    with pytest.raises(InvalidInputError, match="no input 'y'"):
        read_feeds([X], [f"y={path}"])


def test_json_takes_the_type_of_the_input(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps({"x": [[1, 2, 3]], "ids": [[4, 5]]}))
    feeds = read_feeds([X, IDS], [str(path)])
    assert feeds["x"].dtype == np.float32
    assert feeds["ids"].dtype == np.int64
    path.write_text("[[1, 2, 3]]")
    assert read_feeds([X], [str(path)])["x"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"{", "cannot be read"),
        ("x.json", b'[["a"]]', "cannot become float32"),
        ("x.npy", b"nonsense", "cannot be read"),
        ("x.npz", b"nonsense", "cannot be read"),
        ("x.txt", b"1 2 3", "expected .npz, .npy, .json or an image"),
        ("x.png", b"nonsense", "not an image"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    image = InputSpec("x", dtypes.float32, (1, 3, 4, 4)) if name.endswith("png") else X
    with pytest.raises(InvalidInputError, match=message):
        read_feeds([image], [str(path)])
    with pytest.raises(InvalidInputError, match="no such file"):
        read_feeds([X], [str(tmp_path / "missing.npy")])


def picture(tmp_path: Path) -> Path:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def test_an_image_becomes_channels_first_and_scaled(tmp_path: Path) -> None:
    spec = InputSpec("image", dtypes.float32, ("batch", 3, "height", "width"))
    scaling = ImageScaling((0.5, 0.0, 0.0), (0.5, 1.0, 1.0))
    image = read_feeds([spec], [str(picture(tmp_path))], scaling)["image"]
    assert image.shape == (1, 3, 4, 6)
    np.testing.assert_allclose(image[0, :, 0, 1], [(3 / 255 - 0.5) / 0.5, 4 / 255, 5 / 255], rtol=1e-6)


def test_an_image_is_resized_and_keeps_its_pixels_for_integers(tmp_path: Path) -> None:
    spec = InputSpec("image", dtypes.uint8, (1, 2, 3, 1))
    image = read_feeds([spec], [f"image={picture(tmp_path)}"])["image"]
    assert image.shape == (1, 2, 3, 1)
    assert image.dtype == np.uint8


def test_an_image_needs_an_input_that_is_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="an image needs"):
        read_feeds([X], [str(picture(tmp_path))])
