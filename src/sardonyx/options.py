"""Options of sessions and runs, with ONNX Runtime's names; what sardonyx adds is marked as such.

Settings of ONNX Runtime that have no meaning here (memory patterns, arenas) are accepted and kept.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["ExecutionMode", "GraphOptimizationLevel", "ProgressCallback", "RunOptions", "SessionOptions"]

ProgressCallback: TypeAlias = Callable[[str, int, int], None]
"""Called while compiling with (what is being done, steps done, steps in all)."""


class GraphOptimizationLevel(enum.IntEnum):
    """Which rewrites of the graph are made: none, those that simplify, those that fuse, and those of layout."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Sequential or parallel nodes; a compiled region is always one sequence of parallel kernels."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class _ConfigEntries:
    """Named settings given as text."""

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    def _add(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"a config entry is two strings, got {key!r} and {value!r}")
        self._entries[key] = value

    def _get(self, key: str) -> str:
        if key not in self._entries:
            raise RuntimeError(f"there is no config entry with the key {key!r}")
        return self._entries[key]


@dataclass
class SessionOptions:
    """Options of an ``InferenceSession``.

    ``intra_op_num_threads`` 0 takes one thread per core that the process may use. ``log_severity_level`` is 0 (verbose)
    to 4 (fatal), -1 for the default, 2 (warning).

    Beyond ONNX Runtime: ``memory_limit`` is the most bytes that one run may allocate (None: what the machine or its
    cgroup has); ``strict`` refuses models with operators that would run in Python; ``disabled_passes`` are names of
    graph passes to leave out; ``on_progress`` is called while compiling; ``use_cache`` is whether compiled code is
    looked up and kept on disk. ``exact_convolution`` keeps convolutions to plain sums of products: without it 3 x 3
    layers may be transformed (Winograd), where an infinity or NaN in the input spreads to its neighbours' results.
    """

    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    enable_profiling: bool = False
    execution_mode: ExecutionMode = ExecutionMode.ORT_SEQUENTIAL
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
    inter_op_num_threads: int = 0
    intra_op_num_threads: int = 0
    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    optimized_model_filepath: str = ""
    profile_file_prefix: str = "sardonyx_profile"
    use_deterministic_compute: bool = False
    use_per_session_threads: bool = True
    memory_limit: int | None = None
    strict: bool = False
    disabled_passes: set[str] = field(default_factory=set)
    on_progress: ProgressCallback | None = None
    use_cache: bool = True
    exact_convolution: bool = False
    free_dimensions: dict[str, int] = field(default_factory=dict)
    _config: _ConfigEntries = field(default_factory=_ConfigEntries, repr=False, compare=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SessionOptions.__dataclass_fields__:
            raise AttributeError(f"SessionOptions has no option {name!r}")
        object.__setattr__(self, name, _checked(name, value))

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keeps a setting by name."""
        self._config._add(key, value)

    def get_session_config_entry(self, key: str) -> str:
        """The setting of this name; raises RuntimeError when there is none."""
        return self._config._get(key)

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Fixes a symbolic size of the inputs, so that code is specialised for it."""
        if size < 0:
            raise ValueError(f"free dimension {name!r}: the size must not be negative, got {size}")
        self.free_dimensions[name] = int(size)

    def compile_key(self) -> dict[str, Any]:
        """What of these options the compiled code depends on, as JSON data."""
        return {
            "level": int(self.graph_optimization_level),
            "disabled": sorted(self.disabled_passes),
            "exact_convolution": self.exact_convolution,
            "free": dict(sorted(self.free_dimensions.items())),
            "profiled": self.enable_profiling,
        }


def _checked(name: str, value: Any) -> Any:
    """The value in the option's type; a clear error at the assignment rather than deep in a compilation."""
    match name:
        case "graph_optimization_level":
            return GraphOptimizationLevel(value)
        case "execution_mode":
            return ExecutionMode(value)
        case "intra_op_num_threads" | "inter_op_num_threads":
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}: a number of threads that is not negative is expected, got {value!r}")
        case "memory_limit":
            if value is not None and (not isinstance(value, int) or value <= 0):
                raise ValueError(f"memory_limit: a positive number of bytes or None is expected, got {value!r}")
        case "disabled_passes":
            return set(value)
    return value


@dataclass
class RunOptions:
    """Options of one ``run``. A run with ``terminate`` set raises ExecutionError before it begins."""

    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    only_execute_path_to_fetches: bool = False
    terminate: bool = False
    _config: _ConfigEntries = field(default_factory=_ConfigEntries, repr=False, compare=False)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keeps a setting by name."""
        self._config._add(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """The setting of this name; raises RuntimeError when there is none."""
        return self._config._get(key)
