"""``sardonyx cache``: what is kept of earlier compilations, and environments that conversions made."""

from __future__ import annotations

from datetime import datetime

from sardonyx.cli.output import bytes_text, emit, table
from sardonyx.runtime.cache import default_cache

__all__ = ["clear", "show"]

SHOWN_ENTRIES = 20


def show(*, as_json: bool) -> None:
    """Prints the folder, its size and limit, and the entries that were used last; and environments of conversions,
    which ``clear`` keeps."""
    from sardonyx.conversion.isolated.environment import environment_folders

    cache = default_cache()
    environments = environment_folders()
    entries = cache.entries()
    total = sum(entry.size for entry in entries)
    record = {
        "folder": str(cache.folder),
        "entries": len(entries),
        "bytes": total,
        "limit": cache.limit,
        "entry_list": [{"key": entry.key, "bytes": entry.size, "used": entry.used} for entry in entries],
        "environments": [{"path": str(folder), "bytes": size} for folder, size in environments.items()],
    }
    rows = [
        (entry.key[:16], datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M"), bytes_text(entry.size))
        for entry in entries[:SHOWN_ENTRIES]
    ]
    emit(
        record,
        as_json,
        f"{cache.folder}: {len(entries)} entries, {bytes_text(total)} of at most {bytes_text(cache.limit)}",
        *([table("Last used first", ["entry", "used", "size"], rows, left=2)] if rows else []),
        *([f"and {len(entries) - SHOWN_ENTRIES} more"] if len(entries) > SHOWN_ENTRIES else []),
        *(f"{folder}: {bytes_text(size)}, made to convert with" for folder, size in environments.items()),
    )


def clear(*, as_json: bool) -> None:
    """Removes every entry."""
    cache = default_cache()
    removed = cache.clear()
    emit({"folder": str(cache.folder), "removed": removed}, as_json, f"removed {removed} entries from {cache.folder}")
