"""ONNX Runtime's functions of the module: what this build is, and settings of the whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "default_severity",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_build_info",
    "get_device",
    "get_version_string",
    "has_collective_ops",
    "set_default_logger_callback",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
]

_WARNING, _FATAL = 2, 4
_logging = {"severity": _WARNING, "verbosity": 0}


def get_device() -> str:
    """Always ``CPU``."""
    return "CPU"


def get_version_string() -> str:
    """The version of sardonyx."""
    import sardonyx

    return sardonyx.__version__


def get_build_info() -> str:
    """The version, and the compiler that makes the kernels."""
    from importlib import metadata

    return f"sardonyx {get_version_string()}, llvmlite {metadata.version('llvmlite')}"


def has_collective_ops() -> bool:
    """Always False: a session runs in one process."""
    return False


def default_severity() -> int:
    """The log level of sessions that set none."""
    return _logging["severity"]


def set_default_logger_severity(severity: int) -> None:
    """The log level of sessions that set none, from 0 (verbose) to 4 (fatal); above 2 there are no warnings."""
    if not 0 <= severity <= _FATAL:
        raise RuntimeError(f"Invalid logging severity. {severity}: expected 0 (verbose) to {_FATAL} (fatal)")
    _logging["severity"] = severity


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted and kept; there are no verbose messages."""
    _logging["verbosity"] = int(verbosity)


def set_default_logger_callback(callback: Callable[..., Any] | None) -> None:
    """Accepted: what sardonyx has to say goes through ``warnings``, whose own hooks can redirect it."""


def set_global_thread_pool_sizes(intra_op_num_threads: int, inter_op_num_threads: int) -> None:
    """Accepted: there is one pool for the process anyway, of the largest number of threads a session asks for."""


def enable_telemetry_events() -> None:
    """Nothing: sardonyx never sends anything anywhere."""


def disable_telemetry_events() -> None:
    """Nothing: sardonyx never sends anything anywhere."""
