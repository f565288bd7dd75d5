"""What code generation must know of a machine: instruction set, vector width, registers, caches."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AVX2", "AVX512", "BASELINE", "NEON", "WASM", "Caches", "Target"]


@dataclass(frozen=True)
class Caches:
    """Data cache sizes in bytes, as one core sees them; ``l3`` is the shared last level."""

    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20


@dataclass(frozen=True)
class Target:
    """One instruction set to generate for.

    ``vector_bytes`` is the width of a vector register and ``vector_registers`` how many there are; ``features`` is
    LLVM's feature string (``+avx2,+fma``); ``cpu`` is LLVM's name of the processor to schedule for. In ``checked`` code
    every access of a kernel to one of its buffers is tested to lie inside of it.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    has_f16_convert: bool = False
    caches: Caches = field(default_factory=Caches)
    checked: bool = False

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in one vector register (at least one; one of those over 8 bytes)."""
        return max(1, self.vector_bytes // itemsize) if itemsize <= 8 else 1

    @property
    def has_rounding(self) -> bool:
        """Whether floor, ceil and their kin are instructions; x86-64 has them since SSE4.1."""
        return not self.triple.startswith("x86_64") or self.vector_bytes > 16 or self.has("sse4.1")

    @property
    def has_byte_dot(self) -> bool:
        """Whether four products of bytes are summed in one instruction (VNNI, of AVX-512 or by itself)."""
        wide = self.has("avx512vnni") and self.has("avx512vl")
        return self.vector_bytes >= 32 and (wide or (self.has("avxvnni") and self.vector_bytes == 32))

    def has(self, feature: str) -> bool:
        """Whether an LLVM feature such as ``avx512vnni`` is switched on."""
        return f"+{feature}" in self.features.split(",")


_X86 = "x86_64-unknown-linux-gnu"
BASELINE = Target("x86-64", _X86, "x86-64", "+sse2", 16, 16, has_fma=False)
AVX2 = Target("avx2", _X86, "haswell", "+avx,+avx2,+fma,+f16c,+bmi,+bmi2", 32, 16, has_fma=True, has_f16_convert=True)
AVX512 = Target(
    "avx512",
    _X86,
    "skylake-avx512",
    "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd",
    64,
    32,
    has_fma=True,
    has_f16_convert=True,
    caches=Caches(32 << 10, 1 << 20, 16 << 20),
)
NEON = Target(
    "neon", "aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", 16, 32, has_fma=True, has_f16_convert=True
)
WASM = Target("wasm", "wasm32-unknown-unknown", "generic", "+simd128,+bulk-memory", 16, 16, has_fma=False)
