"""Operators on strings that are operators on numbers once the strings are numbered."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.graph.emit import Emitter, replace_inputs, set_attributes
from sardonyx.graph.upgrade.features import ML
from sardonyx.graph.upgrade.helpers import input_at, take
from sardonyx.graph.upgrade.registry import upgrade

__all__: list[str] = []


@upgrade("TfIdfVectorizer", before=10)
def numbered_pool(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """A pool of strings becomes their numbers, and so does the input."""
    texts = take(node, "pool_strings", ())
    if not texts:
        return None
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    tokens = emit.op(
        "LabelEncoder",
        input_at(node, 0),
        domain=ML,
        keys_strings=list(numbers),
        values_int64s=list(numbers.values()),
        default_int64=-1,
    )
    replace_inputs(node, [tokens])
    set_attributes(node, {"pool_int64s": [numbers[text] for text in texts]})
    return None


@upgrade("OneHotEncoder", before=2, domain=ML)
def numbered_categories(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """Strings become the numbers of their categories, the others -1, where those are no error."""
    texts = list(node.attributes["cats_strings"].value) if "cats_strings" in node.attributes else []
    if not texts or node.attributes.get_int("zeros", 1) == 0 or len(set(texts)) < len(texts):
        return None
    data = input_at(node, 0)
    if data.dtype != ir.DataType.STRING:
        return None
    places = list(range(len(texts)))
    numbers = emit.op("LabelEncoder", data, domain=ML, keys_strings=texts, values_int64s=places, default_int64=-1)
    return [emit.op("OneHotEncoder", numbers, domain=ML, cats_int64s=places)]
