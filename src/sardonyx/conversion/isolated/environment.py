"""Virtual environments with pinned packages, made on first use and kept in the user's cache folder.

An environment is built beside its place (``new-*``) and renamed when everything in it has been installed and imported;
its last file, ``installed.json``, says what it holds. What lacks that file, or whose interpreter is gone, is made anew.
A lock lets one process build while others wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sardonyx.conversion.isolated.pythons import find_python
from sardonyx.errors import ConversionError
from sardonyx.runtime.cache import check_private, default_folder

__all__ = ["Environment", "Installed", "environment_folders"]

_RECORD = "installed.json"
_SECONDS = 1800
_STALE_SECONDS = 2 * _SECONDS
_ELSEWHERE = ("PIP_PREFIX", "PIP_TARGET", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS")
"""Settings that would make pip install into another place, or less than everything."""
_STEPS = ("Collecting", "Downloading", "Building", "Installing")
_VERSIONS = (
    "import json, sys\n"
    "for name in sys.argv[1:]: __import__(name)\n"
    "from importlib import metadata\n"
    "found = {d.metadata['Name']: d.version for d in metadata.distributions()}\n"
    "print(json.dumps({'Python': '%d.%d.%d' % sys.version_info[:3], **found}))"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Installed:
    """An environment that is there: its interpreter, and versions of Python and of every package by name."""

    python: Path
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Environment:
    """What an environment consists of.

    ``title`` names it for people, ``python`` is the version (``3.8``). ``requirements`` are installed together, then
    ``built`` from their sources with the build tools of the environment itself. ``modules`` must import afterwards.
    """

    name: str
    title: str
    python: str
    requirements: tuple[str, ...]
    built: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Its place: another one for every set of packages."""
        packages = json.dumps([self.python, self.requirements, self.built])
        digest = hashlib.sha256(packages.encode()).hexdigest()[:12]
        return default_folder() / "environments" / f"{self.name}-{digest}"

    @property
    def all_requirements(self) -> tuple[str, ...]:
        return self.requirements + self.built

    def installed(self) -> Installed | None:
        """The environment, if it was made here before and is whole."""
        try:
            check_private(os.lstat(self.folder.parent), self.folder.parent)
            record = json.loads((self.folder / _RECORD).read_text())
            versions = {str(name): str(version) for name, version in record["versions"].items()}
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            return None
        python = _interpreter(self.folder)
        return Installed(python, versions) if os.access(python, os.X_OK) else None

    def ensure(self, say: Say, python: str | None = None) -> Installed:
        """The environment, made now if it is not there.

        ``python`` is an interpreter of the caller's choice. Raises MissingPackageError where no Python of the version
        is found, and ConversionError with pip's last lines where a package cannot be installed.
        """
        found = self.installed()
        if found is not None:
            return found
        purpose = f"{self.title} needs Python {self.python} (in an environment that is made on first use)"
        base = find_python(self.python, python, purpose)
        try:
            with _alone(self.folder, say):
                return self.installed() or self._make(base, say)
        except OSError as error:
            raise ConversionError(f"cannot make the environment {self.folder}: {error.strerror or error}") from error

    def _make(self, base: Path, say: Say) -> Installed:
        _remove_stale(self.folder.parent)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder.parent))
        try:
            say(f"making an environment of Python {self.python} for {self.title} (once)")
            _run([str(base), "-I", "-m", "venv", str(new)], f"making an environment with {base}")
            python = _interpreter(new)
            pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
            for packages, how in ((self.requirements, "--only-binary=:all:"), (self.built, "--no-build-isolation")):
                if packages:
                    say(f"installing {', '.join(packages)}")
                    _run([*pip, how, *packages], f"installing {', '.join(packages)}", say)
            output = _run([str(python), "-I", "-W", "ignore", "-c", _VERSIONS, *self.modules], "importing the packages")
            record = {"versions": json.loads(output.splitlines()[-1]), "base": str(base)}
            (new / _RECORD).write_text(json.dumps(record, indent=2))
            shutil.rmtree(self.folder, ignore_errors=True)  # what was there is not whole, so that nobody uses it
            os.replace(new, self.folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        made = self.installed()
        if made is None:
            raise ConversionError(f"the environment {self.folder} was made, but does not run")
        return made


def environment_folders() -> dict[Path, int]:
    """The folders of all environments that were made here, with their sizes in bytes."""
    found = sorted(record.parent for record in (default_folder() / "environments").glob(f"*/{_RECORD}"))
    return {folder: sum(_size(path) for path in folder.rglob("*")) for folder in found}


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed in the meantime
        return 0


def _interpreter(folder: Path) -> Path:
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """Makes the folder of all environments, and lets one process in at a time; the system frees the lock of one that
    dies."""
    parent = folder.parent
    parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        parent.mkdir(mode=0o700)
    check_private(os.lstat(parent), parent)
    with (parent / f"{folder.name}.lock").open("w") as lock:
        try:
            import fcntl
        except ImportError:  # where there is none, the rename at the end still lets only whole environments appear
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that makes the environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], what: str, say: Say | None = None) -> str:
    """A command's output; ``say`` hears what pip collects, downloads and installs. The user's Python settings do not
    reach it, pip's (indexes, proxies) do."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k not in _ELSEWHERE}
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        alarm = threading.Timer(_SECONDS, process.kill)
        alarm.start()
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if say is not None and line.lstrip().startswith(_STEPS):
                    say(line.strip())
        except BaseException:
            process.kill()
            raise
        finally:
            alarm.cancel()
    if process.returncode != 0:
        late = f" (or was stopped after {_SECONDS // 60} minutes)" if process.returncode < 0 else ""
        raise ConversionError(f"{what} failed{late}: {_last(lines)}")
    return "\n".join(lines)


def _last(lines: list[str]) -> str:
    kept = [line for line in lines if line.strip()][-6:]
    return "its last lines were\n" + "\n".join(kept) if kept else "it said nothing"


def _remove_stale(parent: Path) -> None:
    """Removes what processes left that died while they built."""
    for path in parent.glob("new-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
