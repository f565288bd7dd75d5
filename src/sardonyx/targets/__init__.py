"""The machines that code is generated for."""

from sardonyx.targets.target import AVX2, AVX512, BASELINE, NEON, WASM, Caches, Target

__all__ = ["AVX2", "AVX512", "BASELINE", "NEON", "WASM", "Caches", "Target"]
