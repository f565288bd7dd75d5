"""A script that runs in an isolated environment and answers one question after the other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from sardonyx.conversion.framework import Arrays
from sardonyx.conversion.isolated.environment import Installed
from sardonyx.errors import ConversionError

__all__ = ["Worker"]

_SCRIPTS = Path(__file__).parent / "scripts"
_LAST_LINES = 8
_KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "OMP_NUM_THREADS")


class Worker:
    """A process of one of ``scripts``, and a folder that both sides exchange files in; it ends with this object.

    The script reads a job a line from its standard input, ``{"do": name, ...}``, and answers with a line:
    ``{"result": ...}``, ``{"refused": message}`` for what the user can do something about, or ``{"failed": message}``.
    Its surroundings are its own: no variables of the user's but PATH and the language, the folder as home, isolated
    mode.
    """

    def __init__(self, installed: Installed, script: str, seconds: float = 600) -> None:
        self.seconds = seconds
        self._temporary = tempfile.TemporaryDirectory(prefix="sardonyx-")
        self.folder = Path(self._temporary.name)
        self._log = self.folder / "log.txt"
        home = {name: str(self.folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [installed.python, "-I", "-W", "ignore", "-B", _SCRIPTS / f"{script}.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                cwd=self.folder,
                env={name: os.environ[name] for name in _KEPT if name in os.environ} | home,
            )
        self._end = weakref.finalize(self, _end, self._process, self._temporary)

    def ask(self, do: str, **job: Any) -> Any:
        """The answer to a job. Raises ConversionError with what the script says, or with its last lines where it broke
        down or took too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late, process = threading.Event(), self._process

        def stop() -> None:  # without self, whose end must not wait for this thread's
            late.set()
            process.kill()

        alarm = threading.Timer(self.seconds, stop)
        alarm.start()
        try:
            self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:  # it has ended
            line = ""
        finally:
            alarm.cancel()
        if late.is_set():
            raise ConversionError(
                f"gave no answer within {self.seconds:g} seconds (option timeout=SECONDS){self._last_lines()}"
            )
        try:
            answer = json.loads(line)
        except ValueError:
            raise ConversionError(f"the exporter's process ended unexpectedly{self._last_lines()}") from None
        if "refused" in answer:
            raise ConversionError(answer["refused"])
        if "failed" in answer:
            raise ConversionError(f"{answer['failed']}{self._last_lines()}")
        return answer["result"]

    def evaluate(self, feeds: Mapping[str, Any]) -> Arrays:
        """The source's answer: arrays by output name for arrays by input name."""
        found = self.folder / "found.npz"
        with self.given(list(feeds.values())) as given:
            outputs = self.ask("evaluate", given=given, names=list(feeds), found=str(found))
        with np.load(found, allow_pickle=False) as archive:
            return {name: archive[f"a{index}"] for index, name in enumerate(outputs)}

    @contextlib.contextmanager
    def given(self, arrays: Sequence[Any]) -> Iterator[str]:
        """The path of a file with these arrays, as long as they are needed; by their numbers, as names of inputs need
        not be names of files."""
        path = self.folder / "given.npz"
        numbered: dict[str, Any] = {f"a{index}": np.asarray(array) for index, array in enumerate(arrays)}
        np.savez(path, **numbered)
        yield str(path)
        path.unlink()

    def close(self) -> None:
        """Ends the process and removes the folder."""
        self._end()

    def _last_lines(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return "; its last lines were\n" + "\n".join(lines[-_LAST_LINES:]) if lines else ""


def _end(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        _close(pipe)
    process.wait()
    folder.cleanup()


def _close(pipe: IO[str] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):  # what was not yet written cannot be any more
            pipe.close()
