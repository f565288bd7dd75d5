"""A module or an exported program from a file or an object."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from sardonyx.conversion.frameworks._torch import files
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["read"]

_WRAPPINGS = ("module.", "_orig_mod.", "model.")
_STATES = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights", "ema")
_SHOWN = 8


def read(source: Source, form: Form, request: Request, notes: list[str]) -> Any:
    """An nn.Module, a ScriptModule or an ExportedProgram, on the CPU."""
    if source.path is None:
        return _on_cpu(_unwrapped(source.object), notes)
    if form.kind in (files.CHECKPOINT, files.SAFETENSORS):
        return _on_cpu(_with_weights(source, form, request, notes), notes)
    try:
        if form.kind.startswith(files.PROGRAM):
            return torch.export.load(source.path)
        if form.kind == files.SCRIPT:
            return torch.jit.load(source.path, map_location="cpu")
        found = torch.load(source.path, map_location="cpu", weights_only=False)
    except (AttributeError, ImportError) as error:
        raise ConversionError(
            f"{source} ({form.kind}) needs a class that cannot be imported here: {error}. Run in the folder of its "
            f"source (or with it on PYTHONPATH), or save it again as .pt2 (torch.export.save), which needs no classes"
        ) from error
    except Exception as error:
        raise _damaged(source, form, error) from error
    if isinstance(found, torch.nn.Module):
        return _unwrapped(found)
    return _loaded(_state_in(found, source), source, request, notes)


def _damaged(source: Source, form: Form, error: Exception) -> ConversionError:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ConversionError(f"{source} ({form.kind}) cannot be read: {said}. Is the file damaged, or cut off?")


def _unwrapped(module: Any) -> Any:
    """The module that DataParallel and torch.compile wrap."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and type(module).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = module.module
        if inner is None:
            return module
        module = inner


def _on_cpu(module: Any, notes: list[str]) -> Any:
    tensors = [] if not isinstance(module, torch.nn.Module) else [*module.parameters(), *module.buffers()]
    places = {tensor.device.type for tensor in tensors} - {"cpu"}
    if not places:
        return module
    if "meta" in places:
        raise ConversionError("the module holds no weights (they are on the device 'meta'): load them first")
    notes.append(f"converted from a copy on the CPU; the module stays on {', '.join(sorted(places))}")
    return copy.deepcopy(module).cpu()


def _with_weights(source: Source, form: Form, request: Request, notes: list[str]) -> Any:
    try:
        if form.kind == files.SAFETENSORS:
            from safetensors.torch import load_file

            found: Any = load_file(str(source.path))
        else:
            found = torch.load(source.path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _damaged(source, form, error) from error
    return _loaded(_state_in(found, source), source, request, notes)


def _state_in(found: Any, source: Source) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, which may hold more than them."""
    if not isinstance(found, Mapping):
        raise ConversionError(f"{source} holds a {type(found).__qualname__}, neither a module nor weights by name")
    if _is_state(found):
        return dict(found)
    states = {key: value for key, value in found.items() if isinstance(value, Mapping) and _is_state(value)}
    named = [key for key in _STATES if key in states] or list(states)
    if len(named) != 1:
        raise ConversionError(
            f"{source} holds {', '.join(map(str, list(found)[:_SHOWN])) or 'nothing'}: expected weights by name, or "
            "them under 'state_dict'"
        )
    return dict(states[named[0]])


def _is_state(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())


def _loaded(state: dict[str, torch.Tensor], source: Source, request: Request, notes: list[str]) -> Any:
    if request.factory is None:
        raise ConversionError(
            f"{source} holds weights only ({_some(list(state))}), not what is computed with them: give the function "
            "that makes the module, factory=MyModel, or --factory MODULE:FUNCTION"
        )
    try:
        module = request.factory()
    except Exception as error:
        raise ConversionError(f"the factory failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise ConversionError(f"the factory returned {type(module).__qualname__}, expected a torch.nn.Module")
    own = module.state_dict()
    state = _without_wrapping(state, own, notes)
    missing = [key for key in own if key not in state and not _is_tied(key, own, state)]
    unexpected = [key for key in state if key not in own]
    shapes = [k for k in state if k in own and own[k].shape != state[k].shape]
    if missing or unexpected or shapes:
        raise ConversionError(
            f"the weights in {source} are not those of {type(module).__qualname__}: "
            + "; ".join(
                [f"missing {_some(missing)}"] * bool(missing)
                + [f"unexpected {_some(unexpected)}"] * bool(unexpected)
                + [f"{k} has shape {list(state[k].shape)}, not {list(own[k].shape)}" for k in shapes[:_SHOWN]]
            )
        )
    module.load_state_dict(state, strict=False)
    return module


def _without_wrapping(
    state: dict[str, torch.Tensor], own: Mapping[str, Any], notes: list[str]
) -> dict[str, torch.Tensor]:
    """Weights that were saved through DataParallel, torch.compile or a trainer carry its name in front."""
    for prefix in _WRAPPINGS:
        if all(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own):
            notes.append(f"the weights' names begin with {prefix!r}, which was taken off")
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _is_tied(key: str, own: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> bool:
    """Whether a weight is the same memory as one that was saved (safetensors saves it once)."""
    return any(other in state and own[other].data_ptr() == own[key].data_ptr() for other in own if other != key)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
