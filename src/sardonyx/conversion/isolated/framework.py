"""Frameworks whose exporter runs in an isolated environment."""

from __future__ import annotations

from typing import Any, ClassVar

from sardonyx.conversion.framework import Framework
from sardonyx.conversion.isolated.environment import Environment
from sardonyx.conversion.isolated.worker import Worker
from sardonyx.conversion.source import Form, Request
from sardonyx.errors import ConversionError

__all__ = ["IsolatedFramework", "shapes_and_types"]


class IsolatedFramework(Framework):
    """``environment`` is made on first use, ``script`` runs in it."""

    environment: ClassVar[Environment]
    script: ClassVar[str]

    def require(self, form: Form) -> None:
        """Nothing in sardonyx's own Python; the environment is made by ``start``, which knows the options."""

    def missing(self) -> list[str]:
        """The environment, as long as nobody needed it."""
        if self.environment.installed() is not None:
            return []
        return [f"an isolated Python {self.environment.python} with {', '.join(self.environment.all_requirements)}"]

    def versions(self) -> dict[str, str]:
        installed = self.environment.installed()
        if installed is None:
            return {}
        names = ["Python", *(entry.partition("==")[0] for entry in self.environment.all_requirements)]
        return {f"{name} (isolated)": installed.versions[name] for name in names if name in installed.versions}

    def start(self, request: Request) -> Worker:
        """A process of the script, in the environment; options: ``python``, an interpreter to make it with, and
        ``timeout``, the seconds that one step may take."""
        python, seconds = request.option("python"), request.option("timeout", 600)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise ConversionError(f"option timeout={seconds}: expected a number of seconds")
        installed = self.environment.ensure(request.say, None if python is None else str(python))
        request.say(f"exporting with Python {installed.versions.get('Python', self.environment.python)}")
        return Worker(installed, self.script, seconds)


def shapes_and_types(examples: Any) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Shapes and names of types of example inputs, by name or, where they have none, by position."""
    import numpy as np

    if examples is None:
        return {}, {}
    if isinstance(examples, dict):
        named = {str(name): np.asarray(value) for name, value in examples.items()}
    else:
        several = examples if isinstance(examples, tuple | list) else (examples,)
        named = {str(position): np.asarray(value) for position, value in enumerate(several)}
    return {n: list(v.shape) for n, v in named.items()}, {n: v.dtype.name for n, v in named.items()}
