"""Everything sardonyx raises on purpose.

    SardonyxError
      InvalidModelError (ValueError)        the file or graph is broken or contradicts the specification
        ModelTooLargeError                  it asks for more memory, nodes or nesting than the limits allow
      UnsupportedOpError (NotImplementedError)  a well-formed model uses something sardonyx cannot run
      InvalidInputError (ValueError)        an input of ``run`` has the wrong name, dtype, rank or size
      ExecutionError (RuntimeError)         a run failed: an index out of range, a size that cannot be allocated
        MemoryLimitError (MemoryError)      a run would allocate more than the session's limit
      ProviderError (RuntimeError)          an execution provider is missing or failed
      CacheError (OSError)                  the cache folder cannot be used safely

A message says what happened, where (file, node, op, opset), what was expected, what came, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "CacheError",
    "ExecutionError",
    "InvalidInputError",
    "InvalidModelError",
    "MemoryLimitError",
    "ModelTooLargeError",
    "ProviderError",
    "SardonyxError",
    "UnsupportedOpError",
]


class SardonyxError(Exception):
    """Base of every error that sardonyx raises on purpose."""


class InvalidModelError(SardonyxError, ValueError):
    """The model file or graph is broken or contradicts the ONNX specification."""


class ModelTooLargeError(InvalidModelError):
    """The model asks for more memory, nodes or nesting than the limits allow."""


class UnsupportedOpError(SardonyxError, NotImplementedError):
    """A well-formed model uses an operator, version or type that sardonyx cannot run."""


class InvalidInputError(SardonyxError, ValueError):
    """An input of ``run`` has the wrong name, dtype, rank or size."""


class ExecutionError(SardonyxError, RuntimeError):
    """A run failed on its data: an index out of range, sizes that do not fit together."""


class MemoryLimitError(ExecutionError, MemoryError):
    """A run would allocate more memory than the session's limit."""


class ProviderError(SardonyxError, RuntimeError):
    """An execution provider is missing or failed."""


class CacheError(SardonyxError, OSError):
    """The cache folder cannot be used safely."""
