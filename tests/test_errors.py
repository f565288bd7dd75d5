"""The exception tree: one base, and the built-in classes that ONNX Runtime users catch."""

import pytest

from sardonyx import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_the_common_base(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.SardonyxError)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidModelError, ValueError),
        (errors.UnsupportedOpError, NotImplementedError),
        (errors.InvalidInputError, ValueError),
        (errors.ExecutionError, RuntimeError),
        (errors.MemoryLimitError, MemoryError),
    ],
)
def test_errors_derive_from_what_users_already_catch(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)
