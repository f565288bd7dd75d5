"""``IOBinding``: inputs and outputs of a run bound ahead of it, to memory that the caller owns."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sardonyx.errors import InvalidInputError, UnreadableInputError
from sardonyx.options import RunOptions
from sardonyx.session.devices import OrtDevice, check_device
from sardonyx.session.inner import InnerSession
from sardonyx.session.values import OrtValue, OrtValueVector, element_type_of

if TYPE_CHECKING:
    from sardonyx.session.inference import InferenceSession

__all__ = ["IOBinding", "SessionIOBinding"]


class IOBinding:
    """Values bound to the inputs and outputs of one session; ``InferenceSession.io_binding`` makes it.

    An output bound to memory gets its result there, in that shape and type; one bound to a device alone gets a new
    value in each run. Devices other than the CPU raise RuntimeError when they are bound.
    """

    def __init__(self, session: InferenceSession | InnerSession) -> None:
        self._session = session = session.session if isinstance(session, InnerSession) else session
        self._input_names = {v.name for v in (*session.get_inputs(), *session.get_overridable_initializers())}
        self._output_names = {v.name for v in session.get_outputs()}
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, npt.NDArray[Any] | None] = {}
        self._names: list[str] = []
        self._results: list[Any] = []

    # -- inputs ----------------------------------------------------------------------------------------------------

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """An array (not copied), or anything else that ``run`` takes."""
        self._inputs[self._input(name)] = arr_on_cpu

    def bind_input(
        self,
        name: str,
        device_type: Any,
        device_id: Any = None,
        element_type: Any = None,
        shape: Any = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Memory at an address, which must stay valid: row-major, of this shape and type.

        Without an address: ``device_type`` is an array, or an OrtDevice that type, shape and address follow.
        """
        if buffer_ptr is None and isinstance(device_type, OrtDevice):
            device_id, element_type, shape, buffer_ptr = 0, device_id, element_type, shape
        elif buffer_ptr is None:
            return self.bind_cpu_input(name, device_type)
        check_device(device_type, device_id)
        self._inputs[self._input(name)] = _at_address(buffer_ptr, shape, element_type)

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """A value; later changes of its memory are seen by later runs."""
        self._inputs[self._input(name)] = ortvalue.value

    def clear_binding_inputs(self) -> None:
        self._inputs.clear()

    def synchronize_inputs(self) -> None:
        """Nothing: there is no device to wait for."""

    # -- outputs ---------------------------------------------------------------------------------------------------

    def bind_output(
        self,
        name: str,
        device_type: str | OrtDevice = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Wants an output: in memory at an address of this shape and type, or without one in new memory."""
        check_device(device_type, device_id)
        target = None
        if buffer_ptr is not None:
            if element_type is None or shape is None:
                raise ValueError("element_type and shape are to be provided if pre-allocated memory is provided")
            target = _at_address(buffer_ptr, shape, element_type)
        self._want(name, target)

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Wants an output in the memory of a tensor."""
        self._want(name, np.asarray(ortvalue.numpy()))

    def _want(self, name: str, target: npt.NDArray[Any] | None) -> None:
        if name not in self._output_names:
            raise UnreadableInputError(f"unknown output {name!r}: the model's outputs are {sorted(self._output_names)}")
        self._outputs[name] = target
        self._names = list(self._outputs)

    def clear_binding_outputs(self) -> None:
        self._outputs.clear()
        self._names, self._results = [], []

    def synchronize_outputs(self) -> None:
        """Nothing: there is no device to wait for."""

    def get_outputs(self) -> list[OrtValue]:
        """The results of the last run, in the order in which the outputs were bound."""
        return [OrtValue(result) for result in self._results]

    def get_outputs_as_ortvaluevector(self) -> OrtValueVector:
        """``get_outputs`` as a vector."""
        return OrtValueVector(self.get_outputs())

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The results of the last run as arrays; copies of those in bound memory, which the next run overwrites."""
        bound = {id(target) for target in self._outputs.values()}
        return [result.copy() if id(result) in bound else result for result in self._results]

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self, run_options: RunOptions | None) -> None:
        """Runs the session on the bound values; what is wrong with them is a RuntimeError."""
        if not self._outputs:
            raise UnreadableInputError("at least one output should be requested: bind it with bind_output")
        try:
            results = self._session.run(self._names, self._inputs, run_options)
        except UnreadableInputError:
            raise
        except InvalidInputError as error:
            raise UnreadableInputError(str(error)) from error
        for position, (name, target) in enumerate(self._outputs.items()):
            if target is not None:
                results[position] = _stored(name, target, results[position])
        self._results = results

    def _input(self, name: str) -> str:
        if name not in self._input_names:
            raise UnreadableInputError(f"unknown input {name!r}: the model's inputs are {sorted(self._input_names)}")
        return name


SessionIOBinding = IOBinding
"""The class that ONNX Runtime's IOBinding wraps."""


def _stored(name: str, target: npt.NDArray[Any], result: Any) -> npt.NDArray[Any]:
    """The bound memory with a result in it. It may overlap an input, so it is written when all is computed."""
    if not isinstance(result, np.ndarray) or result.shape != target.shape or result.dtype != target.dtype:
        got = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise UnreadableInputError(
            f"output {name!r} is bound to memory of {target.dtype} {target.shape}, but the result is {got}"
        )
    target[...] = result
    return target


def _at_address(address: int, shape: Sequence[int], element_type: Any) -> npt.NDArray[Any]:
    """An array over memory of the caller's."""
    dtype, sizes = element_type_of(element_type), tuple(int(size) for size in shape)
    count = int(np.prod(sizes, dtype=object))
    if count < 0 or any(size < 0 for size in sizes) or dtype.kind == "s":
        raise UnreadableInputError(f"memory of {dtype} with shape {sizes} cannot be bound by its address")
    if not count:
        return np.zeros(sizes, dtype.numpy)
    if not address:
        raise UnreadableInputError(f"a null pointer was bound as {dtype} with shape {sizes}")
    memory = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(address)
    array: npt.NDArray[Any] = np.frombuffer(memoryview(memory).cast("B"), np.uint8).view(dtype.numpy)
    return array.reshape(sizes)
