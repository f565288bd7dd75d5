"""The machine we run on, as a target."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import replace
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, Caches, Target

__all__ = ["code_generator", "host_target"]

_AVX512_NEEDED = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd")


@functools.cache
def host_target() -> Target:
    """The best target for this processor, or the one named by ``SARDONYX_TARGET`` (x86-64, avx2, avx512, native).

    Under ``SARDONYX_CHECK=1`` kernels check each of their accesses to memory.
    """
    features = {name for name, present in llvm.get_host_cpu_features().items() if present}
    machine = platform.machine().lower()
    native = _x86(features) if machine in ("x86_64", "amd64") else NEON if machine in ("aarch64", "arm64") else None
    if native is None:
        raise RuntimeError(f"sardonyx generates code for x86-64 and ARM64; this machine says {machine!r}")
    checked = os.environ.get("SARDONYX_CHECK", "0") not in ("", "0")
    native = replace(native, triple=llvm.get_process_triple(), caches=_caches(native.caches), checked=checked)
    wanted = os.environ.get("SARDONYX_TARGET", "native")
    if wanted == "native":
        return native
    choices = {t.name: t for t in (BASELINE, AVX2, AVX512, NEON)}
    if wanted not in choices:
        raise RuntimeError(f"SARDONYX_TARGET={wanted!r}: expected native or one of {', '.join(choices)}")
    return replace(choices[wanted], triple=native.triple, caches=native.caches, checked=checked)


def _x86(features: set[str]) -> Target:
    listed = ",".join(f"+{name}" for name in sorted(features))
    cpu = llvm.get_host_cpu_name()
    if all(name in features for name in _AVX512_NEEDED) and {"fma", "f16c"} <= features:
        # 512-bit registers on purpose: without this LLVM splits vectors in two on processors it thinks slow at them
        return replace(AVX512, cpu=cpu, features=f"{listed},-prefer-256-bit")
    if {"avx2", "fma", "f16c"} <= features:
        return replace(AVX2, cpu=cpu, features=listed)
    return BASELINE


def _caches(default: Caches) -> Caches:
    sizes: dict[int, int] = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if (index / "type").read_text().strip() == "Instruction":
                continue
            level, size = int((index / "level").read_text()), (index / "size").read_text().strip()
            sizes[level] = int(size[:-1]) << {"K": 10, "M": 20, "G": 30}[size[-1]]
        except (OSError, ValueError, KeyError):
            continue
    return Caches(sizes.get(1, default.l1), sizes.get(2, default.l2), sizes.get(3, default.l3))


def code_generator() -> str:
    """The version of what makes the code, for the names of things in a cache."""
    return f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"
