"""ONNX Runtime's functions of the module: what this build is, and settings of the whole process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sardonyx.errors import ProviderError

__all__ = [
    "create_and_register_allocator",
    "create_and_register_allocator_v2",
    "default_severity",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_build_info",
    "get_device",
    "get_version_string",
    "has_collective_ops",
    "log",
    "preload_dlls",
    "register_execution_provider_library",
    "set_default_logger_callback",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "unregister_execution_provider_library",
]

LogCallback: TypeAlias = Callable[[int, str, str, str, str], Any]

_WARNING, _FATAL = 2, 4
_callbacks: list[LogCallback] = []
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

    return f"sardonyx Build Info: version={get_version_string()}, llvmlite= {metadata.version('llvmlite')}"


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


def set_default_logger_callback(callback: LogCallback | None, severity: int = _WARNING) -> None:
    """Sends messages of this severity and above to ``callback(severity, category, logid, place, message)``, or nowhere.

    What it raises is not let through. Warnings are given as warnings too. Raises RuntimeError for another kind of
    callback or severity.
    """
    if callback is not None and not callable(callback):
        raise RuntimeError(f"the logging callback must be a function or None, got {type(callback).__name__}")
    set_default_logger_severity(severity)
    _callbacks[:] = [] if callback is None else [callback]


def log(severity: int, logid: str, place: str, message: str) -> None:
    """Sends a message to the callback, if there is one."""
    if severity < _logging["severity"]:
        return
    for callback in _callbacks:
        with contextlib.suppress(Exception):
            callback(severity, "sardonyx", logid, place, message)


def create_and_register_allocator(memory_info: Any, arena_cfg: Any = None) -> None:
    """Accepted: sessions plan their memory themselves."""


def create_and_register_allocator_v2(
    provider: str, memory_info: Any, options: Mapping[str, str], arena_cfg: Any = None
) -> None:
    """Accepted: sessions plan their memory themselves."""


def preload_dlls(cuda: bool = True, cudnn: bool = True, msvc: bool = True, directory: str | None = None) -> None:
    """Accepted: there is no library to load."""


def register_execution_provider_library(name: str, path: str) -> None:
    """Raises ProviderError: providers in libraries are ONNX Runtime's."""
    raise ProviderError(f"{path}: the provider {name!r} cannot be loaded: it is a library for ONNX Runtime")


def unregister_execution_provider_library(name: str) -> None:
    """Raises ProviderError: there is none."""
    raise ProviderError(f"no provider {name!r} was registered")


def set_global_thread_pool_sizes(intra_op_num_threads: int = 0, inter_op_num_threads: int = 0) -> None:
    """Accepted: there is one pool for the process anyway, of the largest number of threads a session asks for."""


def enable_telemetry_events() -> None:
    """Nothing: sardonyx never sends anything anywhere."""


def disable_telemetry_events() -> None:
    """Nothing: sardonyx never sends anything anywhere."""
