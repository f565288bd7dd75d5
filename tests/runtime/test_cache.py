"""The cache on disk: round trips, damage, foreign folders, concurrent writers, eviction."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from pathlib import Path

import pytest

from sardonyx.errors import CacheError
from sardonyx.runtime.cache import DiskCache, default_folder

KEY = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache")


def test_round_trip(cache: DiskCache) -> None:
    blobs = {"a": b"x" * 1000, "empty": b"", "b": bytes(range(256)) * 17}
    assert cache.get(KEY) is None
    assert cache.put(KEY, {"version": 3, "list": [1, 2]}, blobs)
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.header == {"version": 3, "list": [1, 2]}
    assert {name: bytes(view) for name, view in entry.blobs.items()} == blobs
    assert all(view.readonly for view in entry.blobs.values())
    assert cache.get(OTHER) is None


def test_folder_is_private(cache: DiskCache) -> None:
    cache.put(KEY, {}, {"a": b"1"})
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o077 == 0 for p in cache.folder.iterdir())


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_every_damage_is_a_miss(cache: DiskCache, fraction: float) -> None:
    cache.put(KEY, {"n": 1}, {"a": os.urandom(4096), "b": b"tail" * 16})
    path = cache.entries()[0].path
    good = path.read_bytes()
    position = int(fraction * (len(good) - 1))
    for bad in (
        good[:position] + bytes([good[position] ^ 0x55]) + good[position + 1 :],
        good[:position],
        good + b"more",
    ):
        path.write_bytes(bad)
        harmless = len(bad) == len(good) and good[position] == 0  # bytes between index and blobs carry nothing
        assert cache.get(KEY) is None or harmless
        path.write_bytes(good)
        assert cache.get(KEY) is not None


def test_entry_of_another_key_is_a_miss(cache: DiskCache) -> None:
    cache.put(KEY, {}, {"a": b"1"})
    path = cache.entries()[0].path
    path.rename(path.with_name(path.name.replace(KEY, OTHER)))
    assert cache.get(OTHER) is None


def test_link_is_refused(cache: DiskCache, tmp_path: Path) -> None:
    cache.put(KEY, {}, {"a": b"1"})
    path = cache.entries()[0].path
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="cannot use its cache"):
        assert cache.get(KEY) is None


def test_folder_open_to_others_is_refused(cache: DiskCache) -> None:
    cache.put(KEY, {}, {"a": b"1"})
    cache.folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="written by others"):
        assert cache.get(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not cache.put(KEY, {}, {})  # one warning is enough
    with pytest.raises(CacheError):
        cache.entries()


def test_unusable_place_warns_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "below")
    with pytest.warns(RuntimeWarning, match="SARDONYX_CACHE_DIR"):
        assert not cache.put(KEY, {}, {"a": b"1"})
    assert cache.get(KEY) is None


def test_eviction_takes_the_least_recently_used(cache: DiskCache) -> None:
    keys = [f"{i:016x}" for i in range(6)]
    for age, key in enumerate(keys):
        cache.put(key, {}, {"a": bytes(10_000)})
        then = time.time() - 1000 * (10 - age)
        os.utime(cache.folder / f"{key}.sardonyx", (then, then))
    assert cache.get(keys[0]) is not None  # now the youngest
    cache.limit = 35_000
    cache.put("a" * 16, {}, {"a": bytes(10_000)})
    assert {e.key for e in cache.entries()} == {keys[0], keys[5], "a" * 16}
    assert cache.size <= 35_000


def test_clear_and_stale_temporaries(cache: DiskCache) -> None:
    cache.put(KEY, {}, {"a": b"1"})
    cache.put(OTHER, {}, {"a": b"1"})
    (cache.folder / "new-dead").write_bytes(b"half an entry")
    assert cache.clear() == 2
    assert list(cache.folder.iterdir()) == []
    assert cache.entries() == []


def test_key_must_be_a_digest(cache: DiskCache) -> None:
    for key in ("../" + KEY, "short", KEY.upper()):
        with pytest.raises(ValueError, match="hexadecimal"):
            cache.get(key)


def _write_many(folder: str, worker: int) -> None:
    cache = DiskCache(folder)
    for turn in range(30):
        cache.put(KEY, {"worker": worker}, {"a": bytes([worker]) * (1000 + turn)})
        entry = cache.get(KEY)
        assert entry is not None
        assert set(bytes(entry.blobs["a"])) == {entry.header["worker"]}


def test_concurrent_writers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(str(tmp_path / "cache"), i)) for i in range(3)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(60)
    assert [process.exitcode for process in workers] == [0, 0, 0]


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("SARDONYX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "sardonyx"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "sardonyx"
