"""PyTorch: modules, exported programs, TorchScript, weights with a factory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._torch import files
from sardonyx.conversion.source import Form, Request, Source

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Torch"]

_EXPORT, _TRACE = "torch.export and torch.onnx", "torch.onnx (TorchScript)"
_SAFER = (
    "Without running anything: weights as .safetensors or torch.save(model.state_dict()) with a factory, or "
    "torch.export.save(...) as .pt2."
)


class Torch(Framework):
    """An nn.Module, an ExportedProgram or a ScriptModule, or the file of one."""

    key = "torch"
    title = "PyTorch"
    extra = "torch"
    packages = {"torch": "torch>=2.13", "onnxscript": "onnxscript>=0.7", "safetensors": "safetensors>=0.5"}

    def sees(self, source: Source) -> Form | None:
        if source.path is None:
            return self._object(source)
        kind = files.kind_of(source)
        if kind is None:
            return None
        if kind == files.SCRIPT:
            return Form(self.key, kind, _TRACE)
        unsafe = kind == files.MODULE or (kind == files.PROGRAM and not files.is_harmless(source.path))
        if kind == files.PROGRAM and unsafe:
            kind += " with pickled objects in it"
        return Form(self.key, kind, _EXPORT, unsafe, _SAFER if unsafe else "")

    def _object(self, source: Source) -> Form | None:
        if source.is_a("torch.ExportedProgram"):
            return Form(self.key, "an exported program", _EXPORT)
        if source.is_a("torch.ScriptModule"):
            return Form(self.key, "a TorchScript module", _TRACE)
        if source.is_a("torch.Module"):
            return Form(self.key, "a PyTorch module", _EXPORT)
        return None

    def required(self, form: Form) -> dict[str, str]:
        """safetensors is needed only where such a file is read."""
        return {n: pip for n, pip in self.packages.items() if n != "safetensors" or form.kind == files.SAFETENSORS}

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        from sardonyx.conversion.frameworks._torch.conversion import convert
        from sardonyx.conversion.frameworks._torch.reading import read

        notes: list[str] = []
        model: Any = read(source, form, request, notes)
        return convert(model, request, notes)
