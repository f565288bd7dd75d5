"""Sources that scripts of this folder make in isolated environments, once for a run."""

from __future__ import annotations

import atexit
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sardonyx.conversion.isolated import Environment

__all__ = ["made"]


@cache
def made(environment: Environment, script: str) -> Path:
    """The folder of what a script makes; it is gone when Python ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    installed = environment.ensure(print)
    command = [installed.python, "-I", "-W", "ignore", Path(__file__).parent / script, folder.name]
    subprocess.run(command, check=True, capture_output=True)
    return Path(folder.name)
