"""A Java, a Spark session, and models read from folders."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sardonyx.errors import ConversionError, MissingPackageError

__all__ = ["Session", "cause", "check_java", "read"]

_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
    "spark.default.parallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.execution.arrow.pyspark.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_LONGEST = 300


def check_java(kind: str) -> None:
    """Raises MissingPackageError where no Java is found."""
    home = os.environ.get("JAVA_HOME")
    if (home and (Path(home) / "bin" / "java").exists()) or (not home and shutil.which("java")):
        return
    where = f"JAVA_HOME is {home}, where there is no bin/java" if home else "JAVA_HOME is not set, no java on the PATH"
    raise MissingPackageError(
        f"{kind} was recognised; Spark runs on Java, and none was found ({where}). Install Java 17: apt install "
        "openjdk-17-jre-headless, brew install openjdk@17, or conda install openjdk=17"
    )


class Session:
    """The running session, or a local one with one thread that ends with the last user of this object."""

    def __init__(self) -> None:
        from pyspark.sql import SparkSession

        self.spark: Any = SparkSession.getActiveSession()
        self._own = self.spark is None
        if self.spark is None:
            with _this_python():
                builder = SparkSession.builder.master("local[1]").appName("sardonyx convert")
                for name, value in _SETTINGS.items():
                    builder = builder.config(name, value)
                self.spark = builder.getOrCreate()

    def __del__(self) -> None:
        if getattr(self, "_own", False):
            with contextlib.suppress(Exception):  # the interpreter may be on its way out
                self.spark.stop()


@contextlib.contextmanager
def _this_python() -> Iterator[None]:
    """Spark's workers run this Python."""
    before = os.environ.get("PYSPARK_PYTHON")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYSPARK_PYTHON"]


def read(path: Path, kind: str) -> Any:
    """The model in a folder, by the class that its metadata names."""
    name = kind.replace("org.apache.spark.", "pyspark.")
    module, _, title = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), title)
    except (ImportError, AttributeError) as error:
        raise ConversionError(f"{path} holds a {kind}, which pyspark has no class for: {error}") from error
    try:
        return found.load(path.absolute().as_uri())
    except Exception as error:  # of Java, of py4j, of pyspark
        raise ConversionError(f"{path} cannot be read as {title}: {cause(error)}") from error


def cause(error: BaseException) -> str:
    """A Java exception's own words, without the stack: the innermost cause's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    inner = [line for line in lines if line.startswith("Caused by:")]
    if inner:
        return inner[-1].removeprefix("Caused by:").strip()[:_LONGEST]
    told = lines[1:] if len(lines) > 1 and lines[0].startswith("An error occurred") else lines
    return (told or [type(error).__name__])[0].removeprefix(": ")[:_LONGEST]
