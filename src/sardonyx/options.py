"""Options of sessions and runs, with ONNX Runtime's names; what sardonyx adds is marked as such.

Settings of ONNX Runtime that have no meaning here (memory patterns, arenas) are accepted and kept.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sardonyx.enums import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, OrtExecutionProviderDevicePolicy
from sardonyx.ort_errors import Fail, ModelLoadCanceled

__all__ = ["CPU_PROVIDER", "ProgressCallback", "RunOptions", "SessionOptions", "Supplied"]

CPU_PROVIDER = "CPUExecutionProvider"
"""The name of the one execution provider; ONNX Runtime's name for the processor."""

_LONGEST_KEY = 1024

ProgressCallback: TypeAlias = Callable[[str, int, int], None]
"""Called while compiling with (what is being done, steps done, steps in all)."""


class _ConfigEntries:
    """Named settings given as text; ``owner`` is the class that they are settings of."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._entries: dict[str, str] = {}

    def _add(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"a config entry is two strings, got {key!r} and {value!r}")
        if not 0 < len(key) <= _LONGEST_KEY:
            raise RuntimeError(f"Config key is empty or longer than maximum length {_LONGEST_KEY}")
        self._entries[key] = value

    def _get(self, key: str) -> str:
        if key not in self._entries:
            raise RuntimeError(f"{self._owner} does not have configuration with key: {key}")
        return self._entries[key]


class Supplied:
    """Contents that are given beside the model: initializers by name, and external files by their location.

    ``required`` are the initializers that the model must have. The arrays are shared, never copied.
    """

    def __init__(self) -> None:
        self.initializers: dict[str, Any] = {}
        self.required: set[str] = set()
        self.files: dict[str, memoryview] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Supplied:
        copied = Supplied()
        copied.initializers = dict(self.initializers)
        copied.required = set(self.required)
        copied.files = dict(self.files)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"files": {name: bytes(data) for name, data in self.files.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.files = {name: memoryview(data) for name, data in self.files.items()}

    def add(self, name: str, value: Any) -> None:
        """An initializer, as an OrtValue; raises RuntimeError for anything else and for a name given twice."""
        if not hasattr(value, "element_type") or not value.is_tensor():
            raise RuntimeError(f"initializer {name!r}: the provided Python object must be an OrtValue")
        if name in self.initializers:
            raise RuntimeError(f"an OrtValue for this name has already been added: {name}")
        self.initializers[name] = value.numpy()

    def digest(self) -> list[list[str]]:
        """Names and hashes of the initializers' contents (the model's own hash covers its external files)."""
        return [
            [name, str(array.dtype), str(array.shape), hashlib.sha256(_bytes_of(array)).hexdigest()]
            for name, array in sorted(self.initializers.items())
        ]


class _Flag:
    """A switch that copies of the options share."""

    def __init__(self) -> None:
        self.on = False

    def __deepcopy__(self, memo: dict[int, Any]) -> _Flag:
        return self


def _bytes_of(array: Any) -> bytes:
    if array.dtype.kind == "O":
        return "\0".join(map(str, array.reshape(-1).tolist())).encode("utf-8", "surrogateescape")
    data: bytes = array.tobytes()
    return data


@dataclass
class SessionOptions:
    """Options of an ``InferenceSession``.

    ``intra_op_num_threads`` 0 takes one thread per core that the process may use. ``log_severity_level`` is 0 (verbose)
    to 4 (fatal), -1 for the default, 2 (warning).

    Beyond ONNX Runtime: ``memory_limit`` is the most bytes that one run may allocate (None: what the machine or its
    cgroup has); ``strict`` refuses models with operators that would run in Python (parts whose ranks only a run shows
    are compiled, and refused, then); ``disabled_passes`` are names of graph passes to leave out; ``on_progress`` is
    called while compiling; ``use_cache`` is whether compiled code is looked up and kept on disk.
    ``exact_convolution`` keeps convolutions to plain sums of products: without it 3 x 3 layers may be transformed
    (Winograd), where an infinity or NaN in the input spreads to its neighbours' results.
    """

    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    enable_profiling: bool = False
    execution_mode: ExecutionMode = ExecutionMode.ORT_SEQUENTIAL
    execution_order: ExecutionOrder = ExecutionOrder.DEFAULT
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
    denoted_dimensions: dict[str, int] = field(default_factory=dict)
    supplied: Supplied = field(default_factory=Supplied, repr=False, compare=False)
    _config: _ConfigEntries = field(default_factory=lambda: _ConfigEntries("SessionOptions"), repr=False, compare=False)
    _load_cancelled: _Flag = field(default_factory=_Flag, repr=False, compare=False)
    _providers: dict[str, dict[str, str]] = field(default_factory=dict, repr=False, compare=False)

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

    def has_session_config_entry(self, key: str) -> bool:
        """Whether there is a setting of this name."""
        return key in self._config._entries

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Fixes a symbolic size of the inputs, so that code is specialised for it."""
        self.free_dimensions[name] = _free_size(name, size)

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> None:
        """Fixes the sizes of the inputs that carry this denotation, such as ``DATA_BATCH``."""
        self.denoted_dimensions[denotation] = _free_size(denotation, size)

    def add_initializer(self, name: str, value: Any) -> None:
        """Replaces an initializer of the model by an OrtValue, whose memory is not copied.

        Raises RuntimeError for another kind of value or a name given twice; a model without such an initializer
        ignores it. The session raises InvalidModelError when type or shape differ from the model's.
        """
        self.supplied.add(name, value)

    def add_external_initializers(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """Supplies initializers (OrtValues) in the place of external data, whose files need not exist.

        Raises RuntimeError as ``add_initializer`` does; the session raises InvalidModelError for a name that the model
        does not have.
        """
        if len(names) != len(values):
            raise RuntimeError(f"{len(names)} names of initializers, but {len(values)} values")
        for name, value in zip(names, values, strict=True):
            self.supplied.add(name, value)
            self.supplied.required.add(name)

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], buffers: Sequence[Any], lengths: Sequence[int]
    ) -> None:
        """Supplies external files by the location that the model names, as buffers of so many bytes (not copied)."""
        if not len(names) == len(buffers) == len(lengths):
            raise RuntimeError(f"{len(names)} names of files, {len(buffers)} buffers and {len(lengths)} lengths")
        for name, buffer, length in zip(names, buffers, lengths, strict=True):
            view = memoryview(buffer).cast("B").toreadonly()
            if not 0 <= length <= len(view):
                raise RuntimeError(f"external file {name!r}: length {length} of a buffer of {len(view)} bytes")
            self.supplied.files[name] = view[:length]

    def add_provider(self, provider: str, options: Mapping[str, str]) -> None:
        """Names an execution provider for sessions that are given none; raises RuntimeError for an unknown one."""
        if provider != CPU_PROVIDER:
            raise RuntimeError(f"Unknown Provider Type: {provider} (available: {CPU_PROVIDER})")
        self._providers[provider] = {str(key): str(value) for key, value in options.items()}

    def add_provider_for_devices(self, ep_devices: Iterable[Any], options: Mapping[str, str]) -> None:
        """``add_provider`` for the provider of some devices (of ``get_ep_devices``)."""
        for device in ep_devices:
            self.add_provider(device.ep_name, options)

    def has_providers(self) -> bool:
        """Whether a provider was named here."""
        return bool(self._providers)

    def set_provider_selection_policy(self, policy: OrtExecutionProviderDevicePolicy) -> None:
        """Accepted: there is one provider to choose from."""
        OrtExecutionProviderDevicePolicy(policy)

    def set_provider_selection_policy_delegate(self, delegate: Callable[..., Any]) -> None:
        """Accepted and never called: there is one provider to choose from."""
        if not callable(delegate):
            raise TypeError(f"a function is expected, got {type(delegate).__name__}")

    def register_custom_ops_library(self, path: str) -> None:
        """Raises Fail: custom operators are Python functions or records here, no shared libraries."""
        raise Fail(
            f"{path}: custom operators cannot be loaded from a library of ONNX Runtime: its functions call ONNX "
            "Runtime. Register a Python function with sardonyx.register_operator instead (docs/custom-operators.md)"
        )

    def set_load_cancellation_flag(self, cancelled: bool) -> None:
        """With True, sessions that are being made from these options raise ModelLoadCanceled."""
        self._load_cancelled.on = bool(cancelled)

    def report(self, what: str, done: int, total: int) -> None:
        """Tells ``on_progress``; raises ModelLoadCanceled where the loading was cancelled."""
        if self._load_cancelled.on:
            raise ModelLoadCanceled(f"the loading was cancelled ({what}, {done} of {total})")
        if self.on_progress is not None:
            self.on_progress(what, done, total)

    def for_part(self) -> SessionOptions:
        """These options for a part of the model that is compiled later, by itself: what concerns files, names and the
        loading of the model is left out."""
        part = copy.copy(self)
        part.optimized_model_filepath, part.supplied, part.on_progress = "", Supplied(), None
        return part

    def compile_key(self) -> dict[str, Any]:
        """What of these options the compiled code depends on, as JSON data."""
        return {
            "level": int(self.graph_optimization_level),
            "disabled": sorted(self.disabled_passes),
            "exact_convolution": self.exact_convolution,
            "free": dict(sorted(self.free_dimensions.items())),
            "denoted": dict(sorted(self.denoted_dimensions.items())),
            "supplied": self.supplied.digest(),
            "profiled": self.enable_profiling,
        }


def _checked(name: str, value: Any) -> Any:
    """The value in the option's type; a clear error at the assignment rather than deep in a compilation."""
    match name:
        case "graph_optimization_level":
            return GraphOptimizationLevel(value)
        case "execution_mode":
            return ExecutionMode(value)
        case "execution_order":
            return ExecutionOrder(value)
        case "intra_op_num_threads" | "inter_op_num_threads":
            if not isinstance(value, int):
                raise TypeError(f"{name}: a number of threads is expected, got {value!r}")
            if value < 0:
                raise ValueError(f"{name}: a number of threads that is not negative is expected, got {value!r}")
        case "memory_limit":
            if value is not None and (not isinstance(value, int) or value <= 0):
                raise ValueError(f"memory_limit: a positive number of bytes or None is expected, got {value!r}")
        case "disabled_passes":
            return set(value)
        case "log_severity_level" | "log_verbosity_level":
            if not isinstance(value, int):
                raise TypeError(f"{name}: a level is expected, got {value!r}")
        case "logid" | "optimized_model_filepath" | "profile_file_prefix":
            if not isinstance(value, str | os.PathLike):
                raise TypeError(f"{name}: a text is expected, got {value!r}")
            return os.fspath(value)
    return value


def _free_size(name: str, size: int) -> int:
    if size < 0:
        raise ValueError(f"free dimension {name!r}: the size must not be negative, got {size}")
    return int(size)


@dataclass
class RunOptions:
    """Options of one ``run``. A run with ``terminate`` set raises ExecutionError before it begins; set from another
    thread, it ends a run that goes on, between two kernel calls, steps or trips of a loop."""

    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    only_execute_path_to_fetches: bool = False
    terminate: bool = False
    _config: _ConfigEntries = field(default_factory=lambda: _ConfigEntries("RunOptions"), repr=False, compare=False)
    _watched: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in RunOptions.__dataclass_fields__:
            raise AttributeError(f"RunOptions has no option {name!r}")
        object.__setattr__(self, name, value)
        if name == "terminate" and value:
            for word in list(self.__dict__.get("_watched", {}).values()):
                word[0] = 1

    def watch(self, word: Any) -> None:
        """Sets the one element of an integer array to 1 as soon as ``terminate`` is set; for the runtime."""
        self._watched[id(word)] = word
        if self.terminate:
            word[0] = 1

    def unwatch(self, word: Any) -> None:
        """Forgets a word."""
        self._watched.pop(id(word), None)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keeps a setting by name."""
        self._config._add(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """The setting of this name; raises RuntimeError when there is none."""
        return self._config._get(key)
