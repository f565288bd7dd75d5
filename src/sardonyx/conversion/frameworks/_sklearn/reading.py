"""A file to an estimator, and what can be wrong with either."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

from sardonyx.conversion.source import Request, Source
from sardonyx.errors import ConversionError, MissingPackageError, UntrustedSourceError

__all__ = ["is_skops", "read"]


def is_skops(source: Source) -> bool:
    """A zip archive with the schema that skops writes."""
    return source.is_file and (source.suffix == ".skops" or {"schema.json"} <= source.members)


def read(source: Source, request: Request, notes: list[str]) -> Any:
    """The object in a file (or the object itself). What the file's reader warns about goes into ``notes``.

    Raises ConversionError for a damaged file, UntrustedSourceError for a skops file with types beyond the known ones,
    MissingPackageError for a class that cannot be imported.
    """
    if source.path is None:
        return source.object
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _skops(source, request) if is_skops(source) else _pickle(source)
    versions = {
        (str(vars(w.message)["original_sklearn_version"]), str(vars(w.message)["current_sklearn_version"]))
        for w in caught
        if isinstance(w.message, Warning) and hasattr(w.message, "original_sklearn_version")
    }
    for saved, current in sorted(versions):
        notes.append(
            f"the file was written by scikit-learn {saved} and read by {current}: answers of the source are what "
            f"{current} makes of it; convert with scikit-learn {saved} to be sure"
        )
    return found


def _pickle(source: Source) -> Any:
    try:
        import joblib

        return joblib.load(source.path)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{source} holds objects of the module {error.name!r}, which is not installed here: install the package "
            f"that has it (pip install {str(error.name).partition('.')[0]}), or put it on PYTHONPATH"
        ) from error
    except AttributeError as error:  # the class was defined in a script, or has moved between versions
        raise ConversionError(
            f"{source} holds an object of a class that cannot be found: {error}. Define or import that class before "
            f"converting (a class of a script is looked for in the module __main__), or use the versions that wrote it"
        ) from error
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise ConversionError(
            f"{source} is damaged, or no pickle at all: {type(error).__name__}: {error}; save the model again"
        ) from error


def _skops(source: Source, request: Request) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise MissingPackageError(f"{source} is a skops file; reading it needs skops: pip install skops") from error
    try:
        unknown = skops.io.get_untrusted_types(file=source.path)
        if unknown and not request.trust:
            raise UntrustedSourceError(
                f"{source} holds types that skops does not know to be harmless: {', '.join(unknown)}. If you trust "
                f"them: --trust, or trust=True"
            )
        return skops.io.load(source.path, trusted=unknown)
    except (UntrustedSourceError, MissingPackageError):
        raise
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{source} needs the module {error.name!r}, which is not installed here") from error
    except Exception as error:  # zip, JSON and skops each have their own
        raise ConversionError(f"{source} cannot be read as a skops file: {type(error).__name__}: {error}") from error
