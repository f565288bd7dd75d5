"""Where a command's inputs come from, as its options say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from sardonyx import metadata
from sardonyx.cli.feeds import Feeds, ImageScaling, input_specs, random_feeds, read_feeds
from sardonyx.errors import InvalidInputError

__all__ = ["FeedSource"]


@dataclass(frozen=True)
class FeedSource:
    """Files, or a seed and sizes for random inputs."""

    files: tuple[str, ...] = ()
    random: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    seed: int = 0
    below: int = 2
    scaling: ImageScaling | None = None

    @staticmethod
    def of(
        files: Sequence[str] | None,
        random: bool,
        sizes: Sequence[str] | None,
        seed: int = 0,
        below: int = 2,
        mean: str | None = None,
        std: str | None = None,
    ) -> FeedSource:
        """From the options' texts; a combination that makes no sense is an error of usage."""
        if bool(files) == random:
            raise typer.BadParameter("give the inputs with --input, or draw them with --random")
        if sizes and not random:
            raise typer.BadParameter("--size belongs to --random; files have their own sizes")
        scaling = None
        if mean is not None or std is not None:
            scaling = ImageScaling(_numbers("--image-mean", mean or "0"), _numbers("--image-std", std or "1"))
        return FeedSource(tuple(files or ()), random, dict(map(_size, sizes or ())), seed, below, scaling)

    def feeds(self, session: Any) -> Feeds:
        """The inputs for a session."""
        specs = input_specs(session)
        if self.random:
            return random_feeds(specs, self.sizes, seed=self.seed, below=self.below)
        return read_feeds(specs, self.files, self.scaling or _scaling_of(session))


def _scaling_of(session: Any) -> ImageScaling:
    """What the model says of its images (``metadata.IMAGE``); a comparison's stand-in for a session says nothing."""
    if not hasattr(session, "get_modelmeta"):
        return ImageScaling()
    said = metadata.read(session.get_modelmeta().custom_metadata_map, metadata.IMAGE)
    if not isinstance(said, dict):
        return ImageScaling()
    try:
        size = said.get("size")
        return ImageScaling(
            tuple(float(v) for v in said.get("mean", (0,))),
            tuple(float(v) for v in said.get("std", (1,))),
            float(said.get("scale", 255)),
            None if size is None else (int(size[0]), int(size[1])),
        )
    except (TypeError, ValueError, IndexError):
        raise InvalidInputError(
            f"the model's metadata {metadata.IMAGE!r} is {said}: expected mean, std, scale and size; "
            f"give --image-mean and --image-std instead"
        ) from None


def _size(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not equals or not number.isdecimal():
        raise typer.BadParameter(f"--size {text}: expected NAME=N, such as batch=8")
    return name, int(number)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: expected numbers separated by commas") from error
