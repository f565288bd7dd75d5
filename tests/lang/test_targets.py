"""Kernels compile for every target, and never call what no library provides there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lang.harness import emit
from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import Module, Value, vmath
from sardonyx.lang.compile import assembly, compile_text
from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, WASM, Target

TARGETS = (BASELINE, AVX2, AVX512, NEON, WASM)
CALLS = re.compile(r"^\s*(?:call[ql]?|bl|jmp|b)\s+\*?([A-Za-z_]\w*)(?:@PLT)?\s*$", re.MULTILINE)
F16, BF16, F32, F64 = dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64

UNARY = [name for name in vmath.__all__ if name != "pow"]
Case = tuple[Callable[..., Value], list[DType], DType]


def cases() -> dict[str, Case]:
    """Builders with their input and result dtypes."""
    found: dict[str, Case] = {}
    for dtype in (F32, F64):
        for name in UNARY:
            found[f"{name}-{dtype}"] = (getattr(vmath, name), [dtype], dtype)
        found[f"pow-{dtype}"] = (vmath.pow, [dtype, dtype], dtype)
        for name in ("floor", "ceil", "trunc", "round_even", "sqrt", "abs", "is_nan"):
            result = dtypes.bool_ if name == "is_nan" else dtype
            found[f"{name}-{dtype}"] = (lambda x, name=name: getattr(x.b, name)(x), [dtype], result)
    for dtype in (F32, F64, dtypes.int8, dtypes.int32, dtypes.int64, dtypes.uint16, dtypes.uint32, dtypes.uint64):
        names = ["minimum", "maximum", "floor_mod"] + (["fmod"] if dtype.is_float else ["safe_div", "safe_rem"])
        for name in names:
            found[f"{name}-{dtype}"] = (lambda x, y, name=name: getattr(x.b, name)(x, y), [dtype, dtype], dtype)
    every = [F16, BF16, F32, F64, dtypes.bool_, dtypes.int8, dtypes.uint8, dtypes.int32, dtypes.int64, dtypes.uint64]
    for source in every:
        for target in every:
            found[f"{source}-to-{target}"] = (lambda x, target=target: x.to(target), [source], target)
    return found


def calls_of(named: dict[str, Case], target: Target) -> list[str]:
    """What the code of these kernels calls."""
    module = Module(target, "test")
    for number, (build, inputs, result) in enumerate(named.values()):
        emit(module, f"kernel_{number}", build, inputs, result)
    return sorted(set(CALLS.findall(assembly(module.text(), target))))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_calls_nothing(target: Target) -> None:
    named = cases()
    if found := calls_of(named, target):
        culprits = [name for name, case in named.items() if calls_of({name: case}, target)]
        pytest.fail(f"calls to {found} in {culprits}")


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_calls_would_be_found(target: Target) -> None:
    assert calls_of({"sin": (lambda x: x.b.unary_intrinsic("sin", x), [F32], F32)}, target) == ["sinf"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_objects(target: Target) -> None:
    module = Module(target, "test")
    emit(module, "kernel", lambda x, y: vmath.erf(x) + vmath.pow(x, y), [F32, F32], F32)
    magic = b"\0asm" if target.name == "wasm" else b"\x7fELF"
    assert compile_text(module.text(), target).startswith(magic)
