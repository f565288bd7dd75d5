"""What a framework's file provides, and what its export gives."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import MissingPackageError

__all__ = ["Arrays", "Domain", "Exported", "Framework", "Trace"]

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Trace: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Domain:
    """Values that an input takes, as far as the source knows them from its training.

    ``low`` and ``high`` (broadcast against one row) bound numbers; ``points`` are values that matter, per column or,
    with one entry, for all columns alike: categories of a string column, split points of trees. ``missing`` puts NaN
    (or, among strings, the empty one) into a few places.
    ``padding`` makes a mask of it: in each row ones, at least one, and then zeros. ``trained`` says that it comes from
    the training, not only from what is sensible.
    """

    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None
    points: Sequence[npt.NDArray[Any]] = ()
    missing: bool = False
    padding: bool = False
    trained: bool = True


@dataclass
class Exported:
    """A model made from a source, and what proves it.

    ``reference`` is the source's own answer: arrays by the model's output names for arrays by its input names.
    ``domains`` say what the inputs may hold. ``splits`` are, per input, the values that each column is compared with
    (for tree ensembles, in float64): the certificate looks at and next to every one. ``float64`` says that the source
    computes in float64 *and* the model does too. ``sizes`` suggests sizes for symbolic axes,
    ``other_sizes`` different ones for one row that shows that they are open. ``steps`` are the
    distances of neighbouring values of outputs that are quantised: one step apart is rounding. ``metadata`` goes into
    the model (keys: ``sardonyx.metadata``). ``notes`` say what had to be repaired, for people. ``trace`` gives inner
    values of the source by their names in the model, in the order in which they are computed, where the source can
    show them; ``layers`` are the source's own names for them. ``tolerance`` replaces the relative tolerance where the
    source itself computes more coarsely than float32 (a reason belongs into ``notes``). ``finer`` exports once more in
    a wider type: asked for where the certificate did not pass. ``compared_with`` says, once ``reference`` has run,
    what computed the source's answer, where that is not the framework itself. ``external`` is for ``write_model``.
    ``columns`` are the names of an input's columns, by which a table is read into it.
    """

    model: onnx.ModelProto
    reference: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    domains: Mapping[str, Domain] = field(default_factory=dict)
    splits: Mapping[str, Sequence[npt.NDArray[np.float64]]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    other_sizes: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    float64: bool = False
    tolerance: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trace: Trace | None = None
    finer: Callable[[], Exported] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    compared_with: Callable[[], str] | None = None
    external: bool | None = None
    layers: Mapping[str, str] = field(default_factory=dict)


class Framework(ABC):
    """One framework. ``packages`` are what it needs: import name to what pip calls it; ``extra`` is sardonyx's
    extra."""

    key: ClassVar[str]
    title: ClassVar[str]
    extra: ClassVar[str] = ""
    packages: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def sees(self, source: Source) -> Form | None:
        """What the source is, if it is of this framework. Looks at names, bytes and classes; imports nothing heavy and
        runs nothing from the source."""

    @abstractmethod
    def export(self, source: Source, form: Form, request: Request) -> Exported:
        """Reads the source and converts it; raises ConversionError naming the part that cannot be."""

    def require(self, form: Form) -> None:
        """Raises MissingPackageError with the pip command if a package that this form needs is not installed."""
        missing = [pip for name, pip in self.required(form).items() if importlib.util.find_spec(name) is None]
        if missing:
            wanted = f"'sardonyx[{self.extra}]'" if self.extra else " ".join(f"'{pip}'" for pip in missing)
            raise MissingPackageError(
                f"{form.kind} was recognised; converting it needs {', '.join(missing)}, not installed here: "
                f"pip install {wanted}"
            )

    def missing(self) -> list[str]:
        """What this framework needs and is not installed here, in the words of who would install it."""
        return [pip for name, pip in self.packages.items() if importlib.util.find_spec(name) is None]

    def required(self, form: Form) -> Mapping[str, str]:
        """Those of ``packages`` that this form needs."""
        return self.packages

    def versions(self) -> dict[str, str]:
        """Versions of the packages that took part."""
        found = {}
        for pip in self.packages.values():
            name = pip.partition("=")[0].partition(">")[0].partition("<")[0].partition("[")[0]
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return found
