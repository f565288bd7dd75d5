"""What an inspection tells, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from sardonyx.kernels.spec import Kernel, kernel_text, symbol_name
from sardonyx.lang.compile import assembly, optimised_text
from sardonyx.targets import Target

__all__ = ["BufferRecord", "KernelRecord", "KernelTime", "PassRecord", "StepRecord"]


@dataclass(frozen=True)
class StepRecord:
    """A step of the program: the nodes it covers as "name (Op)", and why it is not native.

    ``kind`` is ``native``, ``control`` (the steps that follow, with its name in ``inside``, are its bodies'), ``late``
    (compiled when ranks are known), ``host`` (ours, on Python objects) or ``python`` (the fallback). ``inside`` is
    empty in the main graph, else the node and its attribute.
    """

    kind: str
    nodes: tuple[str, ...]
    operators: dict[str, int]
    reason: str = ""
    inside: str = ""


@dataclass(frozen=True)
class PassRecord:
    """One pass over the graph: why it stands where it does, its time and edits, the graph as text before and after."""

    name: str
    reason: str
    seconds: float
    changes: int
    nodes_before: int
    before: str
    nodes_after: int
    after: str


@dataclass(frozen=True)
class KernelRecord:
    """One kernel call. ``tasks`` and ``work`` (floating-point operations) may depend on symbolic sizes."""

    index: int
    step: int
    name: str
    nodes: str
    operands: tuple[str, ...]
    tasks: str
    work: str
    kernel: Kernel = field(repr=False)
    target: Target = field(repr=False)

    @property
    def symbol(self) -> str:
        """The linker symbol; equal kernels share one."""
        return symbol_name(self.kernel, self.target)

    @property
    def llvm_ir(self) -> str:
        """The kernel as it was emitted."""
        return kernel_text(self.kernel, self.target)

    @property
    def optimised_ir(self) -> str:
        """The kernel after LLVM's passes."""
        return optimised_text(self.llvm_ir, self.target)

    @property
    def assembly(self) -> str:
        """The machine code as assembly."""
        return assembly(self.llvm_ir, self.target)

    def plain(self) -> dict[str, Any]:
        """The parts that JSON knows."""
        kept = (f.name for f in fields(self) if f.name not in ("kernel", "target"))
        return {name: getattr(self, name) for name in kept} | {"symbol": self.symbol}


@dataclass(frozen=True)
class BufferRecord:
    """Memory of a step: input, output, weight, prepared (packed weights) or temporary (in the arena).

    ``bytes`` and ``offset`` may depend on symbolic sizes; ``first`` and ``last`` are the calls that use it.
    """

    step: int
    kind: str
    bytes: str
    offset: str
    first: int
    last: int


@dataclass(frozen=True)
class KernelTime:
    """What one kernel call of the program cost: seconds per run."""

    index: int
    name: str
    nodes: str
    seconds: float
