"""Everything sardonyx raises on purpose.

    SardonyxError
      InvalidModelError (ValueError)        the file or graph is broken or contradicts the specification
        MalformedFileError                  the bytes are no ONNX model: not protobuf, truncated
        IncompleteModelError                there is no graph, or nothing provides a value that is read
        ModelTooLargeError                  it asks for more memory, nodes or nesting than the limits allow
      ModelNotFoundError (FileNotFoundError)  there is no file at the path of a model
      UnsupportedOpError (NotImplementedError)  a well-formed model uses something sardonyx cannot run
      InvalidInputError (ValueError)        an input of ``run`` has the wrong name, dtype, rank or size
        IncompatibleSizesError              the sizes of several inputs contradict each other
        UnreadableInputError (RuntimeError) an object cannot become the tensor it must be
      ExecutionError (RuntimeError)         a run failed: an index out of range, a size that cannot be allocated
        MemoryLimitError (MemoryError)      a run would allocate more than the session's limit
      ProviderError (RuntimeError)          an execution provider is missing or failed
      CacheError (OSError)                  the cache folder cannot be used safely
      ConversionError (RuntimeError)        a source is not recognised, or a part of it cannot become ONNX
        MissingPackageError (ImportError)   a package that reads or exports this source is not installed
        UntrustedSourceError (PermissionError)  reading the source could run code, and nobody said that it may

A message says what happened, where (file, node, op, opset), what was expected, what came, and what to do next.

ONNX Runtime's own classes (``ort_errors``: ``InvalidArgument``, ``Fail`` ...) are bases of ours, so that a program that
catches those catches ours in the same situations. Where its class depends on which of its checks comes first, ours has
them all.
"""

from __future__ import annotations

from sardonyx import ort_errors as ort

__all__ = [
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
]


class SardonyxError(Exception):
    """Base of every error that sardonyx raises on purpose."""


class InvalidModelError(SardonyxError, ort.InvalidGraph, ort.Fail, ValueError):
    """The model file or graph is broken or contradicts the ONNX specification."""


class MalformedFileError(InvalidModelError, ort.InvalidProtobuf):
    """The bytes are no ONNX model: they are not protobuf, or the file is truncated."""


class IncompleteModelError(InvalidModelError, ort.InvalidArgument):
    """The model has no graph, or nothing provides a value that its graph reads."""


class ModelTooLargeError(InvalidModelError):
    """The model asks for more memory, nodes or nesting than the limits allow."""


class ModelNotFoundError(InvalidModelError, ort.NoSuchFile, FileNotFoundError):
    """There is no file at the path of a model."""


class UnsupportedOpError(SardonyxError, ort.NotImplemented, ort.InvalidGraph, ort.Fail, NotImplementedError):
    """A well-formed model uses an operator, version or type that sardonyx cannot run."""


class InvalidInputError(SardonyxError, ort.InvalidArgument, ValueError):
    """An input of ``run`` has the wrong name, dtype, rank or size."""


class UnreadableInputError(InvalidInputError, RuntimeError):
    """A value that was fed, bound or copied cannot become the tensor that it must be."""


class ExecutionError(SardonyxError, ort.Fail, ort.RuntimeException, ort.InvalidArgument, RuntimeError):
    """A run failed on its data: an index out of range, sizes that do not fit together."""


class IncompatibleSizesError(InvalidInputError, ExecutionError):
    """The sizes of the inputs of ``run`` contradict each other, which a node of the model found."""


class MemoryLimitError(ExecutionError, MemoryError):
    """A run would allocate more memory than the session's limit."""


class ProviderError(SardonyxError, ort.EPFail, RuntimeError):
    """An execution provider is missing or failed."""


class CacheError(SardonyxError, OSError):
    """The cache folder cannot be used safely."""


class ConversionError(SardonyxError, RuntimeError):
    """A source is not recognised, cannot be read, or a part of it cannot become ONNX."""


class MissingPackageError(ConversionError, ImportError):
    """A package that reads or exports this source is not installed."""


class UntrustedSourceError(ConversionError, PermissionError):
    """Reading the source could run code that its author put into it, and the caller did not say that it may."""
