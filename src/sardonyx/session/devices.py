"""Devices and memories under ONNX Runtime's names. There is one device: the processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sardonyx.enums import (
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtHardwareDeviceType,
    OrtMemoryInfoDeviceType,
    OrtMemType,
)
from sardonyx.options import CPU_PROVIDER

__all__ = [
    "OrtArenaCfg",
    "OrtDevice",
    "OrtEpDevice",
    "OrtHardwareDevice",
    "OrtMemoryInfo",
    "check_device",
    "get_ep_devices",
]

_TYPES = {"cpu": 0, "cuda": 1, "gpu": 1, "dml": 1, "webgpu": 1, "cann": 3, "npu": 3}
_VENDORS = {
    "cuda": OrtDeviceVendorId.NVIDIA,
    "dml": OrtDeviceVendorId.MICROSOFT,
    "cann": OrtDeviceVendorId.HUAWEI,
}


class OrtDevice:
    """A kind of device and its number; only ``cpu`` can hold values here."""

    def __init__(self, device_type: int, mem_type: int, *numbers: int) -> None:
        """``numbers`` are the device's, or its vendor's and its own."""
        if len(numbers) not in (1, 2):
            raise TypeError("OrtDevice takes a type, a kind of memory, possibly a vendor, and a number")
        self._fields = (device_type, mem_type, numbers[0] if len(numbers) == 2 else 0, numbers[-1])

    @staticmethod
    def cpu() -> int:
        """The type of a processor."""
        return _TYPES["cpu"]

    @staticmethod
    def cuda() -> int:
        """The type of a GPU."""
        return _TYPES["cuda"]

    @staticmethod
    def default_memory() -> int:
        """The ordinary memory of a device."""
        return 0

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """The device of a name such as ``cpu``; raises ValueError for a name ONNX Runtime does not know."""
        if ort_device_name not in _TYPES:
            raise ValueError(f"Unsupported device type: {ort_device_name}")
        vendor = _VENDORS.get(ort_device_name, OrtDeviceVendorId.NONE) if vendor_id < 0 else vendor_id
        return OrtDevice(_TYPES[ort_device_name], 0, int(vendor), device_id)

    def device_type(self) -> int:
        """0 for a processor, 1 for a GPU, 3 for an NPU."""
        return self._fields[0]

    def device_mem_type(self) -> int:
        return self._fields[1]

    def device_vendor_id(self) -> int:
        return self._fields[2]

    def device_id(self) -> int:
        return self._fields[3]


def check_device(device: str | OrtDevice, device_id: int = 0) -> None:
    """Raises RuntimeError unless the device is the processor, ValueError for an unknown name."""
    made = device if isinstance(device, OrtDevice) else OrtDevice.make(device.lower(), device_id)
    if made.device_type():
        raise RuntimeError(f"Can't allocate memory on {device}:{device_id}: values live in the memory of the CPU only")


class OrtMemoryInfo:
    """Where memory is and how it is allocated."""

    def __init__(self, name: str, allocator_type: OrtAllocatorType, device_id: int, mem_type: OrtMemType) -> None:
        self.name = name
        self.allocator_type = OrtAllocatorType(allocator_type)
        self.device_id = device_id
        self.mem_type = OrtMemType(mem_type)
        self.device_mem_type = OrtDeviceMemoryType.DEFAULT
        self.device_vendor_id = 0

    @staticmethod
    def create_v2(
        name: str,
        device_type: OrtMemoryInfoDeviceType,
        vendor_id: int,
        device_id: int,
        device_mem_type: OrtDeviceMemoryType,
        alignment: int,
        allocator_type: OrtAllocatorType,
    ) -> OrtMemoryInfo:
        """Memory of any device, described."""
        made = OrtMemoryInfo(name, allocator_type, device_id, OrtMemType.DEFAULT)
        made.device_mem_type, made.device_vendor_id = OrtDeviceMemoryType(device_mem_type), vendor_id
        return made

    @staticmethod
    def cpu() -> OrtMemoryInfo:
        """The memory that inputs and outputs of all sessions live in."""
        return OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_DEVICE_ALLOCATOR, 0, OrtMemType.DEFAULT)


class OrtArenaCfg:
    """Settings of ONNX Runtime's arenas: accepted and kept; memory is planned ahead here.

    Takes a dictionary, or ``max_mem``, ``arena_extend_strategy``, ``initial_chunk_size_bytes`` and
    ``max_dead_bytes_per_chunk``; -1 leaves a setting to its default.
    """

    def __init__(self, *settings: Any) -> None:
        names = ("max_mem", "arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk")
        more = ("initial_growth_chunk_size_bytes", "max_power_of_two_extend_bytes")
        if len(settings) == 1 and isinstance(settings[0], Mapping):
            given = dict(settings[0])
        elif len(settings) == len(names):
            given = dict(zip(names, settings, strict=True))
        else:
            raise TypeError(f"OrtArenaCfg takes a dictionary or {', '.join(names)}")
        unknown = given.keys() - {*names, *more}
        if unknown:
            raise RuntimeError(f"Invalid OrtArenaCfg option: {sorted(unknown)[0]}")
        self.max_mem = int(given.get("max_mem", 0))
        self.arena_extend_strategy = int(given.get("arena_extend_strategy", -1))
        self.initial_chunk_size_bytes = int(given.get("initial_chunk_size_bytes", -1))
        self.max_dead_bytes_per_chunk = int(given.get("max_dead_bytes_per_chunk", -1))
        self.initial_growth_chunk_size_bytes = int(given.get("initial_growth_chunk_size_bytes", -1))
        self.max_power_of_two_extend_bytes = int(given.get("max_power_of_two_extend_bytes", -1))


class OrtHardwareDevice:
    """The processor of this machine."""

    type = OrtHardwareDeviceType.CPU
    vendor = ""
    vendor_id = 0
    device_id = 0
    metadata: Mapping[str, str] = {}


class OrtEpDevice:
    """The one provider on the one device."""

    ep_name = CPU_PROVIDER
    ep_vendor = "sardonyx"
    ep_metadata: Mapping[str, str] = {}
    ep_options: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.device = OrtHardwareDevice()

    def memory_info(self, memory_type: OrtDeviceMemoryType = OrtDeviceMemoryType.DEFAULT) -> OrtMemoryInfo:
        return OrtMemoryInfo.cpu()


def get_ep_devices() -> list[OrtEpDevice]:
    """The devices that providers can use."""
    return [OrtEpDevice()]
