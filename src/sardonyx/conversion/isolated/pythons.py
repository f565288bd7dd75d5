"""Where an older Python is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sardonyx.errors import MissingPackageError

__all__ = ["find_python"]

_SECONDS = 60
_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def find_python(version: str, chosen: str | None, purpose: str) -> Path:
    """An interpreter of ``version`` (such as ``3.8``) that runs and can make virtual environments.

    ``chosen`` is the caller's own, which is then the only candidate; next come the variable ``SARDONYX_PYTHON38``,
    ``python3.8`` on the path, pyenv's folders and what uv knows. Raises MissingPackageError, beginning with
    ``purpose`` and telling what was found in each place.
    """
    looked: list[str] = []
    for place, path in _candidates(version, chosen):
        problem = "not there" if path is None else _problem(path, version)
        if path is not None and not problem:
            return path
        looked.append(f"{place}: {problem}")
    raise MissingPackageError(
        f"{purpose}, and none was found here ({'; '.join(looked)}). Install one with 'uv python install {version}' or "
        f"'pyenv install {version}', or name one: --option python=/path/to/python{version} (python=... in Python), or "
        f"the variable {_variable(version)}"
    )


def _variable(version: str) -> str:
    return f"SARDONYX_PYTHON{version.replace('.', '')}"


def _candidates(version: str, chosen: str | None) -> Iterator[tuple[str, Path | None]]:
    """Places in words, and the interpreter there, if any; a place that somebody named is the last."""
    if chosen is not None:
        yield f"option python={chosen}", Path(chosen).expanduser()
        return
    named = os.environ.get(_variable(version))
    if named:
        yield f"{_variable(version)}={named}", Path(named).expanduser()
        return
    yield f"variable {_variable(version)}", None
    on_path = shutil.which(f"python{version}")
    yield f"python{version} on the path", Path(on_path) if on_path else None
    folder = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = sorted(folder.glob(f"{version}.*"), key=_numbers, reverse=True)
    for path in found:
        yield str(path), path / "bin" / f"python{version}"
    if not found:
        yield f"{folder}/{version}.*", None
    yield f"uv python find {version}", _uv(version)


def _numbers(path: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", path.name)]


def _uv(version: str) -> Path | None:
    uv = shutil.which("uv")
    if uv is None:
        return None
    command = [uv, "python", "find", "--no-python-downloads", version]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, cwd=os.sep)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(found.stdout.strip()) if found.returncode == 0 and found.stdout.strip() else None


def _problem(path: Path, version: str) -> str:
    """Why an interpreter cannot be used; empty when it can."""
    try:
        ran = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({getattr(error, 'strerror', None) or 'no answer'})"
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or ["no message"])[0]
        return f"does not run ({last})"
    found = ran.stdout.strip()
    return "" if found == version else f"is Python {found}"
