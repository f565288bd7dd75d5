"""Whose function it is, told from the names that its code uses; no framework needs to be there."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sardonyx.conversion.frameworks.jax import Jax
from sardonyx.conversion.recognition import recognise
from sardonyx.conversion.source import Source
from sardonyx.errors import ConversionError

torch, jnp = types.ModuleType("torch.nn"), types.ModuleType("jax.numpy")


def written(text: str, **names: Any) -> Callable[..., Any]:
    """A function of a module in which these names stand for packages."""
    space = dict(names)
    exec(text, space)
    return space["f"]  # type: ignore[no-any-return]


OF_TORCH = written("def f(x): return torch.relu(x)", torch=torch)
OF_JAX = written("def f(x): return jnp.tanh(x)", jnp=jnp)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (OF_JAX, "a JAX function"),
        (functools.partial(OF_JAX, 3), "a JAX function"),
        (written("def f(x): return g(x)", g=OF_JAX), "a JAX function"),
        (written("def f(x): return (lambda y: jnp.exp(y))(x)", jnp=jnp), "a JAX function"),
        (written("def f(x): return jnp.tanh(torch.relu(x))", jnp=jnp, torch=torch), "a JAX function"),
        (lambda x: x @ np.ones((2, 2)), "a function of arrays"),
        (OF_TORCH, None),
        (functools.partial(OF_TORCH, 3), None),
        (written("def f(x): return g(x)", g=OF_TORCH), None),
        (types.MethodType(OF_TORCH, 1), None),
        (dict, None),
        (3, None),
        ((OF_JAX, 3), None),
    ],
)
def test_functions(function: Any, kind: str | None) -> None:
    form = Jax().sees(Source(function))
    assert (form.kind if form else None) == kind


def test_a_function_of_another_package_is_unknown() -> None:
    with pytest.raises(ConversionError, match="not a model of a known kind"):
        recognise(OF_TORCH)
