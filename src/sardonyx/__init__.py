"""An ONNX compiler and runtime in Python that emits native code through LLVM.

    import sardonyx
    model = sardonyx.load("model.onnx")
    y = model(x)

``InferenceSession``, ``SessionOptions`` and what belongs to them have ONNX Runtime's interface: a program that says
``import onnxruntime`` runs with ``import sardonyx as onnxruntime``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx import backend as backend
    from sardonyx import capi as capi
    from sardonyx import tools as tools
    from sardonyx.conversion import Certificate as Certificate
    from sardonyx.conversion import Conversion as Conversion
    from sardonyx.conversion import convert as convert
    from sardonyx.enums import ExecutionMode as ExecutionMode
    from sardonyx.enums import ExecutionOrder as ExecutionOrder
    from sardonyx.enums import GraphOptimizationLevel as GraphOptimizationLevel
    from sardonyx.enums import OrtAllocatorType as OrtAllocatorType
    from sardonyx.enums import OrtCompileApiFlags as OrtCompileApiFlags
    from sardonyx.enums import OrtDeviceMemoryType as OrtDeviceMemoryType
    from sardonyx.enums import OrtDeviceVendorId as OrtDeviceVendorId
    from sardonyx.enums import OrtExecutionProviderDevicePolicy as OrtExecutionProviderDevicePolicy
    from sardonyx.enums import OrtHardwareDeviceType as OrtHardwareDeviceType
    from sardonyx.enums import OrtMemoryInfoDeviceType as OrtMemoryInfoDeviceType
    from sardonyx.enums import OrtMemType as OrtMemType
    from sardonyx.enums import OrtSparseFormat as OrtSparseFormat
    from sardonyx.errors import CacheError as CacheError
    from sardonyx.errors import ConversionError as ConversionError
    from sardonyx.errors import ExecutionError as ExecutionError
    from sardonyx.errors import IncompatibleSizesError as IncompatibleSizesError
    from sardonyx.errors import IncompleteModelError as IncompleteModelError
    from sardonyx.errors import InvalidInputError as InvalidInputError
    from sardonyx.errors import InvalidModelError as InvalidModelError
    from sardonyx.errors import MalformedFileError as MalformedFileError
    from sardonyx.errors import MemoryLimitError as MemoryLimitError
    from sardonyx.errors import MissingPackageError as MissingPackageError
    from sardonyx.errors import ModelNotFoundError as ModelNotFoundError
    from sardonyx.errors import ModelTooLargeError as ModelTooLargeError
    from sardonyx.errors import ProviderError as ProviderError
    from sardonyx.errors import SardonyxError as SardonyxError
    from sardonyx.errors import UnreadableInputError as UnreadableInputError
    from sardonyx.errors import UnsupportedOpError as UnsupportedOpError
    from sardonyx.errors import UntrustedSourceError as UntrustedSourceError
    from sardonyx.ops.custom import register_operator as register_operator
    from sardonyx.ops.custom import unregister_operator as unregister_operator
    from sardonyx.options import RunOptions as RunOptions
    from sardonyx.options import SessionOptions as SessionOptions
    from sardonyx.runtime.seeds import set_seed as set_seed
    from sardonyx.session.arguments import ModelMetadata as ModelMetadata
    from sardonyx.session.arguments import NodeArg as NodeArg
    from sardonyx.session.binding import IOBinding as IOBinding
    from sardonyx.session.binding import SessionIOBinding as SessionIOBinding
    from sardonyx.session.devices import OrtArenaCfg as OrtArenaCfg
    from sardonyx.session.devices import OrtDevice as OrtDevice
    from sardonyx.session.devices import OrtEpDevice as OrtEpDevice
    from sardonyx.session.devices import OrtHardwareDevice as OrtHardwareDevice
    from sardonyx.session.devices import OrtMemoryInfo as OrtMemoryInfo
    from sardonyx.session.devices import get_ep_devices as get_ep_devices
    from sardonyx.session.environment import create_and_register_allocator as create_and_register_allocator
    from sardonyx.session.environment import create_and_register_allocator_v2 as create_and_register_allocator_v2
    from sardonyx.session.environment import disable_telemetry_events as disable_telemetry_events
    from sardonyx.session.environment import enable_telemetry_events as enable_telemetry_events
    from sardonyx.session.environment import get_build_info as get_build_info
    from sardonyx.session.environment import get_device as get_device
    from sardonyx.session.environment import get_version_string as get_version_string
    from sardonyx.session.environment import has_collective_ops as has_collective_ops
    from sardonyx.session.environment import preload_dlls as preload_dlls
    from sardonyx.session.environment import register_execution_provider_library as register_execution_provider_library
    from sardonyx.session.environment import set_default_logger_callback as set_default_logger_callback
    from sardonyx.session.environment import set_default_logger_severity as set_default_logger_severity
    from sardonyx.session.environment import set_default_logger_verbosity as set_default_logger_verbosity
    from sardonyx.session.environment import set_global_thread_pool_sizes as set_global_thread_pool_sizes
    from sardonyx.session.environment import (
        unregister_execution_provider_library as unregister_execution_provider_library,
    )
    from sardonyx.session.inference import InferenceSession as InferenceSession
    from sardonyx.session.model import Model as Model
    from sardonyx.session.model import load as load
    from sardonyx.session.providers import get_all_providers as get_all_providers
    from sardonyx.session.providers import get_available_providers as get_available_providers
    from sardonyx.session.sparse import SparseTensor as SparseTensor
    from sardonyx.session.values import OrtValue as OrtValue
    from sardonyx.session.values import OrtValueVector as OrtValueVector
    from sardonyx.session.values import copy_tensors as copy_tensors

__version__ = "0.1.0"

# Where each public name is, below this package.
_HOMES = {
    "conversion": ["Certificate", "Conversion", "convert"],
    "enums": [
        "ExecutionMode",
        "ExecutionOrder",
        "GraphOptimizationLevel",
        "OrtAllocatorType",
        "OrtCompileApiFlags",
        "OrtDeviceMemoryType",
        "OrtDeviceVendorId",
        "OrtExecutionProviderDevicePolicy",
        "OrtHardwareDeviceType",
        "OrtMemType",
        "OrtMemoryInfoDeviceType",
        "OrtSparseFormat",
    ],
    "errors": [
        "CacheError",
        "ConversionError",
        "ExecutionError",
        "IncompatibleSizesError",
        "IncompleteModelError",
        "InvalidInputError",
        "InvalidModelError",
        "MalformedFileError",
        "MemoryLimitError",
        "MissingPackageError",
        "ModelNotFoundError",
        "ModelTooLargeError",
        "ProviderError",
        "SardonyxError",
        "UnreadableInputError",
        "UnsupportedOpError",
        "UntrustedSourceError",
    ],
    "ops.custom": ["register_operator", "unregister_operator"],
    "options": ["RunOptions", "SessionOptions"],
    "runtime.seeds": ["set_seed"],
    "session.arguments": ["ModelMetadata", "NodeArg"],
    "session.binding": ["IOBinding", "SessionIOBinding"],
    "session.devices": [
        "OrtArenaCfg",
        "OrtDevice",
        "OrtEpDevice",
        "OrtHardwareDevice",
        "OrtMemoryInfo",
        "get_ep_devices",
    ],
    "session.environment": [
        "create_and_register_allocator",
        "create_and_register_allocator_v2",
        "disable_telemetry_events",
        "enable_telemetry_events",
        "get_build_info",
        "get_device",
        "get_version_string",
        "has_collective_ops",
        "preload_dlls",
        "register_execution_provider_library",
        "set_default_logger_callback",
        "set_default_logger_severity",
        "set_default_logger_verbosity",
        "set_global_thread_pool_sizes",
        "unregister_execution_provider_library",
    ],
    "session.inference": ["InferenceSession"],
    "session.model": ["Model", "load"],
    "session.providers": ["get_all_providers", "get_available_providers"],
    "session.sparse": ["SparseTensor"],
    "session.values": ["OrtValue", "OrtValueVector", "copy_tensors"],
}
_MODULES = (
    "backend",
    "capi",
    "tools",
)

__all__ = ["__version__", *_MODULES, *(name for names in _HOMES.values() for name in names)]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used, so that ``import sardonyx`` costs next to nothing."""
    value: Any
    if name in _MODULES:
        value = import_module(f"sardonyx.{name}")
    else:
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'sardonyx' has no attribute {name!r}")
        value = getattr(import_module(f"sardonyx.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
