"""``InferenceSession``: a compiled model with ONNX Runtime's interface."""

from __future__ import annotations

import copy
import os
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sardonyx.errors import InvalidInputError
from sardonyx.options import RunOptions, SessionOptions
from sardonyx.runtime.profiler import Profiler
from sardonyx.runtime.program import Program
from sardonyx.session.arguments import ModelMetadata, NodeArg
from sardonyx.session.devices import OrtEpDevice, OrtMemoryInfo
from sardonyx.session.environment import default_severity, log
from sardonyx.session.providers import check_available, chosen_providers
from sardonyx.session.runner import Runner
from sardonyx.session.values import OrtValue

if TYPE_CHECKING:
    from sardonyx.graph import ModelSource
    from sardonyx.session.binding import IOBinding
    from sardonyx.session.inner import InnerSession

__all__ = ["InferenceSession"]

_INFO, _WARNING = 1, 2


# ONNX Runtime's optimisers that have a counterpart among our passes; the others have nothing to disable.
_OPTIMIZERS = {
    "ConstantFolding": "fold-constants",
    "CommonSubexpressionElimination": "common-subexpressions",
    "EliminateIdentity": "identities",
    "AttentionFusion": "attention",
    "LayerNormFusion": "norms",
    "GeluFusion": "activations",
}


class InferenceSession:
    """A model, compiled for this machine.

    ``path_or_bytes`` is a path, the bytes of a model, a binary file object or an ``onnx.ModelProto``. ``providers`` are
    names, or pairs of a name and options; those that are not available are left out with a warning. Further keywords:
    ``disabled_optimizers`` (names of passes to leave out; of ONNX Runtime's optimisers those that have a counterpart),
    ``enable_fallback`` (0: malformed ``providers`` raise ValueError instead of a warning), and any option of
    ``SessionOptions``.

    Raises InvalidModelError for a broken model and UnsupportedOpError for one that sardonyx cannot run. ``run`` may be
    called from several threads at once.
    """

    def __init__(
        self,
        path_or_bytes: ModelSource,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        from sardonyx.graph.source import open_source
        from sardonyx.providers.native import open_program

        self._fall_back = int(kwargs.pop("enable_fallback", 1)) == 1
        kwargs.pop("read_config_from_model", None)
        self._options = _session_options(sess_options, kwargs)
        self._providers = chosen_providers(providers, provider_options, self._fall_back)
        self._profiler = Profiler() if self._options.enable_profiling else None
        start = time.perf_counter_ns()
        self._source = open_source(path_or_bytes)
        self._path = None if self._source.path is None else os.path.abspath(self._source.path)
        self._program = open_program(self._source, self._options)
        if self._profiler is not None:
            self._profiler.note("model_loading", "Session", start, time.perf_counter_ns())
        self._tell(start)
        self._runner = Runner(self._program, self._profiler)
        fast = self._runner.fast
        if fast is not None and type(self).run is InferenceSession.run:
            self.run = fast  # type: ignore[method-assign]  # the same function, in native code

    def _tell(self, start: int) -> None:
        """Says what was loaded, and which operators run in Python; the log level can silence it."""
        steps = self._program.python_steps
        place = "InferenceSession"
        log(
            _INFO,
            self._options.logid,
            place,
            f"{self._source.name}: {len(self._program.steps)} steps, "
            f"loaded in {(time.perf_counter_ns() - start) / 1e6:.1f} ms",
        )
        level = self._options.log_severity_level
        if not steps or (default_severity() if level < 0 else level) > _WARNING:
            return
        counted = Counter(step.kernel for step in steps)
        listed = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(counted.items()))
        name = f"{self._source.path}: " if self._source.path is not None else ""
        message = (
            f"{name}these operators have no native code for their types and attributes and run in Python, "
            f"which is slow: {listed}. `sardonyx inspect` shows where; SessionOptions.strict refuses such models."
        )
        log(_WARNING, self._options.logid, place, message)
        warnings.warn(message, RuntimeWarning, stacklevel=3)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Computes the outputs named (all of them for None) from a mapping of input names to values.

        Gives new numpy arrays (lists for sequences, dicts for maps, None for empty optionals). Raises InvalidInputError
        for inputs that do not fit, ExecutionError when the data makes a node fail, MemoryLimitError when the run would
        take more memory than allowed.
        """
        return self._runner.run(output_names, input_feed, run_options)

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], Any],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """``run`` on a thread of its own, which then calls ``callback(results, user_data, error)``.

        ``error`` is empty, or the message of what went wrong, with no results. A missing input raises here. The inputs
        must not be changed before the callback.
        """
        missing = [v.name for v in self.get_inputs() if v.name not in input_feed and not v.type.startswith("optional(")]
        if missing:
            raise InvalidInputError(f"required inputs {missing} are missing from the feed {list(input_feed)}")

        def work() -> None:
            results: list[Any] = []
            message = ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
            callback(results, user_data, message)

        threading.Thread(target=work, name="sardonyx-run-async").start()

    def io_binding(self) -> IOBinding:
        """A new binding of this session's inputs and outputs to values; see ``run_with_iobinding``."""
        from sardonyx.session.binding import IOBinding

        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None) -> None:
        """``run`` on what is bound; the results are in the bound memory and in ``iobinding.get_outputs()``.

        Raises ValueError for a binding of another session, and RuntimeError (of InvalidInputError or ExecutionError)
        for everything that goes wrong with the values.
        """
        if iobinding._session is not self:
            raise ValueError("IOBinding must be used with the session that created it")
        iobinding.run(run_options)

    def run_with_ortvaluevector(
        self,
        run_options: RunOptions | None,
        feed_names: Sequence[str],
        feeds: Sequence[OrtValue],
        fetch_names: Sequence[str],
        fetches: list[OrtValue],
        fetch_devices: Sequence[Any] = (),
    ) -> None:
        """``run`` with lists; the results replace the contents of ``fetches``."""
        given = dict(zip(feed_names, feeds, strict=True))
        fetches[:] = self.run_with_ort_values(fetch_names, given, run_options)

    def create_ortvalue_from_shape_and_type(
        self, shape: Sequence[int], element_type: Any, device_type: str, device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        """``OrtValue.ortvalue_from_shape_and_type``: all sessions share the memory of the CPU."""
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, device_type, device_id, vendor_id)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """``run`` with OrtValues in and out."""
        feeds = {name: value.value for name, value in input_dict_ort_values.items()}
        return [OrtValue(result) for result in self.run(output_names, feeds, run_options)]

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that must be fed."""
        return [NodeArg.of(spec) for spec in self._program.inputs if not spec.overridable]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The inputs that have a default."""
        return [NodeArg.of(spec) for spec in self._program.inputs if spec.overridable]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs, in the order in which ``run`` gives them."""
        return [NodeArg.of(spec) for spec in self._program.outputs]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model's author wrote into the file."""
        return ModelMetadata.of(self._program.metadata)

    def get_session_options(self) -> SessionOptions:
        """The options of this session."""
        return self._options

    def get_providers(self) -> list[str]:
        """The providers in use, by priority."""
        return list(self._providers)

    def get_provider_options(self) -> dict[str, dict[str, Any]]:
        """The options of each provider in use."""
        return {name: dict(options) for name, options in self._providers.items()}

    def set_providers(
        self,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Chooses providers; see the class. Raises RuntimeError for one that is not available."""
        check_available(providers)
        self._providers = chosen_providers(providers, provider_options, self._fall_back)

    def disable_fallback(self) -> None:
        """Malformed ``providers`` raise ValueError from now on."""
        self._fall_back = False

    def enable_fallback(self) -> None:
        """Malformed ``providers`` are a warning from now on."""
        self._fall_back = True

    def get_input_memory_infos(self) -> list[OrtMemoryInfo]:
        """Where each input lives."""
        return [OrtMemoryInfo.cpu() for _ in self.get_inputs()]

    def get_output_memory_infos(self) -> list[OrtMemoryInfo]:
        """Where each output lives."""
        return [OrtMemoryInfo.cpu() for _ in self.get_outputs()]

    def get_input_epdevices(self) -> list[OrtEpDevice]:
        """The provider and device that reads each input."""
        return [OrtEpDevice() for _ in self.get_inputs()]

    def get_tuning_results(self) -> list[dict[str, Any]]:
        """Nothing: kernels are chosen when they are compiled."""
        return []

    def set_tuning_results(self, results: Sequence[Mapping[str, Any]], *, error_on_invalid: bool = False) -> None:
        """Accepted and left; raises RuntimeError under ``error_on_invalid``, for no result can be used."""
        if error_on_invalid and results:
            raise RuntimeError(f"Cannot find execution provider {results[0].get('ep')} to tune")

    def set_ep_dynamic_options(self, options: Mapping[str, str]) -> None:
        """Accepted: the provider has no options."""

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process is made from: the file, or the bytes of a model that came without one."""
        options = copy.copy(self._options)
        options.on_progress = None
        model = self._path if self._path is not None else bytes(self._source.data)
        return {"model": model, "options": options, "fall_back": self._fall_back}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["model"], state["options"], enable_fallback=int(state["fall_back"]))  # type: ignore[misc]

    def __copy__(self) -> InferenceSession:
        """Another handle of the same compiled model."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> InferenceSession:
        """A session with options of its own; the compiled model never changes and is shared."""
        made = self.__copy__()
        made._options = copy.deepcopy(self._options, memo)
        return made

    @property
    def _sess(self) -> InnerSession:
        from sardonyx.session.inner import InnerSession

        return InnerSession(self)

    @property
    def program(self) -> Program:
        """The compiled program, for tools that look into it."""
        return self._program

    def get_profiling_start_time_ns(self) -> int:
        """The time at which the profile begins, by ``time.perf_counter_ns``; 0 without profiling."""
        return 0 if self._profiler is None else self._profiler.start_ns

    def end_profiling(self) -> str:
        """Writes the profile as a Chrome trace and gives the file's name; empty without profiling."""
        profiler, self._profiler = self._profiler, None
        self._runner.profiler = None
        return "" if profiler is None else profiler.write(self._options.profile_file_prefix)


def _session_options(given: SessionOptions | None, keywords: dict[str, Any]) -> SessionOptions:
    options = copy.deepcopy(given) if given is not None else SessionOptions()
    disabled = keywords.pop("disabled_optimizers", None)
    if disabled is not None:
        # names of ours are in lower case; those of ONNX Runtime without a counterpart disable nothing
        names = {_OPTIMIZERS.get(name, name) for name in disabled}
        options.disabled_passes = options.disabled_passes | {name for name in names if name.islower()}
    for name, value in keywords.items():
        try:
            setattr(options, name, value)
        except AttributeError:
            raise TypeError(f"InferenceSession got an unexpected keyword {name!r}") from None
    return options
