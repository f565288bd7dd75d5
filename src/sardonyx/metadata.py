"""What a model file says about its inputs and outputs beyond types: keys of ``metadata_props`` and what they hold.

The values are JSON. Converters write them, commands and servers read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["CLASSES", "IMAGE", "SOURCE", "TEXT", "read"]

CLASSES = "sardonyx.classes"
"""A list of class names, in the order of the scores of the first output; or a map of output name to such a list."""

IMAGE = "sardonyx.image"
"""How an image becomes the input: {"input": name, "size": [height, width], "mean": [...], "std": [...], "scale": 255,
"channels": "rgb"}; a pixel becomes (pixel / scale - mean) / std."""

TEXT = "sardonyx.text"
"""How text becomes the inputs: {"tokenizer": "wordpiece" ..., "vocabulary": [...], ...}."""

SOURCE = "sardonyx.source"
"""What the model was converted from: {"framework": ..., "kind": ..., "sha256": ..., "versions": {...}}."""


def read(properties: Mapping[str, str], key: str) -> Any:
    """The value of a key, or None where it is absent or no JSON (somebody else may have written it)."""
    try:
        return json.loads(properties[key])
    except (KeyError, ValueError):
        return None
