"""Isolated environments and the processes in them, with this Python in the place of an older one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sardonyx
from sardonyx.conversion.isolated import Environment, Installed, Worker, environment, pythons, worker
from sardonyx.errors import ConversionError, MissingPackageError

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SMALL = Environment("small", "Small", VERSION, ("one==1",), ("two==2",), ("json",))


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache, a home and a path of the test's own, which hold no Python."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("PYENV_ROOT", "SARDONYX_PYTHON38"):
        monkeypatch.delenv(name, raising=False)


def installing(monkeypatch: pytest.MonkeyPatch, fail: str = "") -> list[list[str]]:
    """Environments are made without venv and pip; gives the commands that would have run."""
    commands: list[list[str]] = []

    def run(command: list[str], what: str, say: Any = None) -> str:
        commands.append(command)
        if fail and fail in command:
            raise ConversionError(f"{what} failed: its last lines were\nno such package")
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir()
            python.symlink_to(sys.executable)
        return 'a warning\n{"Python": "3.8.1", "one": "1"}'

    monkeypatch.setattr(environment, "_run", run)
    return commands


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Installed:
    """This Python, and a script ``own`` that serves ``commands``."""
    serving = f"import sys\nsys.path.insert(0, {str(worker._SCRIPTS)!r})\nfrom serving import *\n"
    (tmp_path / "own.py").write_text(serving + body)
    monkeypatch.setattr(worker, "_SCRIPTS", tmp_path)
    return Installed(Path(sys.executable), {})


def test_without_a_python_every_place_that_was_looked_at_is_told() -> None:
    with pytest.raises(MissingPackageError) as caught:
        pythons.find_python("3.8", None, "MXNet needs Python 3.8")
    message = str(caught.value)
    for part in ("MXNet needs Python 3.8, and none", "SARDONYX_PYTHON38", "python3.8 on the path: not there", "3.8.*"):
        assert part in message
    assert "uv python install 3.8" in message
    assert "--option python=" in message


def test_pythons_that_do_not_run_or_are_others_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "bin" / "python3.8"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'no version chosen' >&2\nexit 127\n")
    shim.chmod(0o755)
    with pytest.raises(MissingPackageError, match=r"does not run \(no version chosen\)"):
        pythons.find_python("3.8", None, "x")
    with pytest.raises(MissingPackageError, match=rf"option python=.*: is Python {VERSION}"):
        pythons.find_python("3.8", sys.executable, "x")
    monkeypatch.setenv("SARDONYX_PYTHON38", str(tmp_path / "none"))
    with pytest.raises(MissingPackageError, match=r"SARDONYX_PYTHON38=.*: does not run \(No such file"):
        pythons.find_python("3.8", None, "x")


def test_pyenv_folders_are_looked_at(tmp_path: Path) -> None:
    found = tmp_path / ".pyenv" / "versions" / f"{VERSION}.9" / "bin" / f"python{VERSION}"
    found.parent.mkdir(parents=True)
    found.symlink_to(sys.executable)
    assert pythons.find_python(VERSION, None, "x") == found


def test_an_environment_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = installing(monkeypatch)
    said: list[str] = []
    assert SMALL.installed() is None
    made = SMALL.ensure(said.append, sys.executable)
    assert made == SMALL.installed()
    assert made.versions == {"Python": "3.8.1", "one": "1"}
    assert "installing one==1" in said
    assert [c[-1] for c in commands[1:]] == ["one==1", "two==2", "json"]
    SMALL.ensure(said.append, sys.executable)
    assert len(commands) == 4
    (folder, size), *_ = environment.environment_folders().items()
    assert (folder, size > 0) == (SMALL.folder, True)
    others = Environment("small", "Small", VERSION, ("one==2",))
    assert others.installed() is None


def test_a_failed_installation_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    installing(monkeypatch, fail="two==2")
    with pytest.raises(ConversionError, match=r"installing two==2 failed.*\n.*no such package"):
        SMALL.ensure(print, sys.executable)
    assert [path.name for path in SMALL.folder.parent.iterdir()] == [f"{SMALL.folder.name}.lock"]


def test_a_broken_environment_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = installing(monkeypatch)
    SMALL.ensure(print, sys.executable)
    (SMALL.folder / "installed.json").write_text(json.dumps({"versions": 3}))
    assert SMALL.installed() is None
    SMALL.ensure(print, sys.executable)
    (SMALL.folder / "bin" / "python").unlink()
    assert SMALL.installed() is None
    SMALL.ensure(print, sys.executable)
    assert len(commands) == 12


def test_a_folder_that_others_can_write_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    installing(monkeypatch)
    SMALL.ensure(print, sys.executable)
    SMALL.folder.parent.chmod(0o777)
    assert SMALL.installed() is None
    with pytest.raises(ConversionError, match="can be written by others"):
        SMALL.ensure(print, sys.executable)


def test_of_two_at_once_one_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = installing(monkeypatch)
    inside, go_on, said = threading.Event(), threading.Event(), []
    make = Environment._make

    def slowly(self: Environment, base: Path, say: Any) -> Installed:
        inside.set()
        assert go_on.wait(30)
        return make(self, base, say)

    def second(text: str) -> None:
        said.append(text)
        go_on.set()

    monkeypatch.setattr(Environment, "_make", slowly)
    first = threading.Thread(target=SMALL.ensure, args=(lambda text: None, sys.executable))
    first.start()
    assert inside.wait(30)
    assert SMALL.ensure(second, sys.executable) == SMALL.installed()
    first.join()
    assert said == ["waiting for another process that makes the environment"]
    assert len(commands) == 4


def test_what_a_command_says_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    code = "import os; print('Collecting one'); print('x'); print(os.environ.get('PYTHONPATH'))"
    assert environment._run([sys.executable, "-c", code], "trying", said.append).splitlines()[-1] == "None"
    assert said == ["Collecting one"]
    with pytest.raises(ConversionError, match=r"trying failed: its last lines were\noh"):
        environment._run([sys.executable, "-c", "print('oh'); raise SystemExit(3)"], "trying")


def test_arrays_go_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "def evaluate(given, names, found):\n"
        "    print('chatter')\n"
        "    return save(found, {n + '/2': v * 2 for n, v in load(given, names).items()})\n"
        "serve({'evaluate': evaluate, 'home': lambda: [os.environ['HOME'], os.environ.get('SECRET')]})\n"
    )
    monkeypatch.setenv("SECRET", "yes")
    process = Worker(script(tmp_path, monkeypatch, body), "own")
    found = process.evaluate({"a b/c": np.arange(3, dtype=np.float32), "d": np.ones((0, 2), np.int8)})
    assert {name: value.tolist() for name, value in found.items()} == {"a b/c/2": [0, 2, 4], "d/2": []}
    assert process.ask("home") == [str(process.folder), None]
    process.close()
    assert not process.folder.exists()


def test_a_process_and_its_folder_end_with_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Worker(script(tmp_path, monkeypatch, "serve({'ping': lambda: 1})"), "own")
    folder, running = process.folder, process._process
    assert process.ask("ping") == 1
    del process
    assert running.poll() is not None
    assert not folder.exists()


def test_errors_of_scripts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "def refuse(): raise Refused('no weights')\n"
        "def break_(): raise KeyError('lost')\n"
        "def die(): print('going'); sys.stdout.flush(); os._exit(3)\n"
        "import time\n"
        "serve({'refuse': refuse, 'break': break_, 'die': die, 'sleep': lambda: time.sleep(60)})\n"
    )
    process = Worker(script(tmp_path, monkeypatch, body), "own", seconds=0.2)
    with pytest.raises(ConversionError, match=r"no answer within 0\.2 seconds"):
        process.ask("sleep")
    process.close()
    process = Worker(Installed(Path(sys.executable), {}), "own", seconds=60)
    with pytest.raises(ConversionError, match=r"^no weights$"):
        process.ask("refuse")
    with pytest.raises(ConversionError, match=r"KeyError: 'lost'; its last lines were\n(.*\n)*.*KeyError: 'lost'"):
        process.ask("break")
    with pytest.raises(ConversionError, match=r"ended unexpectedly; its last lines were\n(.*\n)*going"):
        process.ask("die")
    with pytest.raises(ConversionError, match="ended unexpectedly"):
        process.ask("refuse")
    process.close()


def test_a_missing_python_ends_a_conversion_before_anything_is_made(tmp_path: Path) -> None:
    graph = {"nodes": [{"op": "null", "name": "x", "inputs": []}], "attrs": {"mxnet_version": ["int", 10901]}}
    (tmp_path / "m-symbol.json").write_text(json.dumps(graph))
    (tmp_path / "m-0003.params").write_bytes(b"\x12\x01" + bytes(30))
    with pytest.raises(MissingPackageError, match=r"MXNet needs Python 3\.8 .*none was found"):
        sardonyx.convert(tmp_path / "m-symbol.json")
    with pytest.raises(ConversionError, match=r"option python=/no/python: does not run"):
        sardonyx.convert(tmp_path / "m-0003.params", python="/no/python")
    with pytest.raises(ConversionError, match="expected a number of seconds"):
        sardonyx.convert(tmp_path / "m-0003.params", timeout="long")
    (tmp_path / "m-symbol.json").rename(tmp_path / "other.json")
    with pytest.raises(ConversionError, match=r"no m-symbol\.json beside it.*symbol=FILE"):
        sardonyx.convert(tmp_path / "m-0003.params")
    with pytest.raises(ConversionError, match=r"other-0000\.params, are not beside it.*params=FILE"):
        sardonyx.convert(tmp_path / "other.json")


def test_scripts_are_of_python_38() -> None:
    import ast

    for path in worker._SCRIPTS.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))
    assert subprocess.run([sys.executable, "-I", worker._SCRIPTS / "serving.py"], check=True).returncode == 0


def test_weights_of_a_chain_ask_for_its_function(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **{"l1/W": np.zeros(3)})
    assert sardonyx.conversion.recognise(path).kind == "weights of a Chainer chain (.npz)"
    with pytest.raises(ConversionError, match=r"a chain's weights only: .*--option chain=FILE\.py:FUNCTION"):
        sardonyx.convert(path)
    with pytest.raises(ConversionError, match=r"--factory gives a function of this Python.*chain=FILE\.py:FUNCTION"):
        sardonyx.convert(path, factory=dict)
    with pytest.raises(ConversionError, match=r"option chain=f: expected FILE\.py:FUNCTION"):
        sardonyx.convert(path, chain="f")
    with pytest.raises(ConversionError, match=r"there is no file /nowhere/f\.py"):
        sardonyx.convert(path, chain="/nowhere/f.py:make")
    (tmp_path / "f.py").write_text("")
    with pytest.raises(ConversionError, match="Chainer has to see a call"):
        sardonyx.convert(path, chain=f"{tmp_path / 'f.py'}:make")
    with pytest.raises(MissingPackageError, match=r"Chainer needs Python 3\.8"):
        sardonyx.convert(path, chain=f"{tmp_path / 'f.py'}:make", example_inputs=np.zeros(3))


def test_arrays_of_other_names_are_no_chain(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros(3), y=np.zeros(3))
    with pytest.raises(ConversionError, match="not a model of a known kind"):
        sardonyx.convert(tmp_path / "data.npz")
