"""Compiling leaves nothing behind: a process that loads models for days must not grow."""

from __future__ import annotations

import subprocess
import sys

PEAK = """
import resource, sys
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target

TEXT = "define i64 @f(i64 %x) { %y = add i64 %x, 1\\n ret i64 %y }"

def peak(count):
    for _ in range(count):
        compile_text(TEXT, host_target())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

print(-peak(20) + peak(100))
"""


def test_no_memory_is_kept() -> None:
    grown = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 100 * 30_000  # bytes: LLVM's passes take more than 70,000
