"""``sardonyx version``."""

from __future__ import annotations

import platform
from importlib import metadata

import sardonyx
from sardonyx.cli.output import emit, table

__all__ = ["version"]

PACKAGES = ("numpy", "onnx", "onnx_ir", "llvmlite", "ml_dtypes")


def version(*, as_json: bool) -> None:
    """Prints versions and the target that kernels are compiled for."""
    from sardonyx.lang.host import host_target

    target = host_target()
    record = {
        "sardonyx": sardonyx.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "target": target.name,
        "processor": target.cpu,
        "vector_bits": target.vector_bytes * 8,
    }
    emit(record, as_json, table("", ["", ""], list(record.items()), left=2))
