"""Words of texts: what onnxmltools leaves to an operator of ONNX Runtime's own is the standard's StringSplit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import TensorProto

from sardonyx.conversion.frameworks._spark.columns import called, inputs_of, outputs_of, value
from sardonyx.conversion.frameworks._spark.graph import TEXTS, TOKENS, Graph
from sardonyx.errors import ConversionError

__all__ = ["TEXT"]


def tokenizer(graph: Graph, stage: Any) -> None:
    """Lower case, then words between white space. Spark's also gives empty words for white space in a row; no
    vocabulary that was fitted on texts without it holds those."""
    _split(graph, stage, True)


def regex_tokenizer(graph: Graph, stage: Any) -> None:
    usual = value(stage, "pattern") == r"\s+" and value(stage, "gaps") and value(stage, "minTokenLength") <= 1
    if not usual:
        raise ConversionError(
            f"{called(stage)} splits by the expression {value(stage, 'pattern')!r}; only white space ('\\s+', gaps) "
            "can be converted"
        )
    _split(graph, stage, bool(value(stage, "toLowercase")))


def _split(graph: Graph, stage: Any, lower: bool) -> None:
    source = inputs_of(stage)[0]
    column = graph.columns[source]
    if column.kind != TEXTS:
        raise ConversionError(f"{called(stage)} splits {source!r}, which holds numbers")
    tensor = graph.emit("Reshape", [column.tensor, graph.constant([-1], "int64")])
    if lower:
        tensor = graph.emit("StringNormalizer", [tensor], case_change_action="LOWER", locale="C")
    output, counts = graph.name("words"), graph.name("counts")
    graph.node("StringSplit", [tensor], [output, counts])
    graph.add(outputs_of(stage)[0], output, 0, TOKENS)
    graph.columns[outputs_of(stage)[0]].text = source


def stop_words(graph: Graph, stage: Any) -> None:
    """Passes the words on: what counts them looks for the words of its vocabulary only, of which these are none."""
    if value(stage, "inputCols"):
        raise ConversionError(f"{called(stage)}: one column at a time can be converted, inputCol and outputCol")
    column = graph.columns[inputs_of(stage)[0]]
    graph.add(outputs_of(stage)[0], column.tensor, 0, TOKENS)
    made = graph.columns[outputs_of(stage)[0]]
    made.text = column.text
    folded = not value(stage, "caseSensitive")
    made.left_out = frozenset(word.lower() if folded else word for word in value(stage, "stopWords"))


def count_vectorizer(graph: Graph, stage: Any) -> None:
    column, vocabulary = graph.columns[inputs_of(stage)[0]], list(stage.vocabulary)
    if column.kind != TOKENS:
        raise ConversionError(f"{called(stage)} counts lists of words; convert it together with its Tokenizer")
    if value(stage, "minTF") > 1 or "" in vocabulary:
        what = "minTF above 1" if value(stage, "minTF") > 1 else "an empty word in its vocabulary"
        raise ConversionError(f"{called(stage)} has {what}, which cannot be converted")
    if value(stage, "minTF") < 1:
        raise ConversionError(f"{called(stage)} has minTF as a share of the text, which cannot be converted")
    counted = graph.emit(
        "TfIdfVectorizer",
        [column.tensor],
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        mode="TF",
        ngram_counts=[0],
        ngram_indexes=list(range(len(vocabulary))),
        pool_strings=vocabulary,
    )
    tensor = graph.emit("Cast", [counted], to=TensorProto.DOUBLE)
    if value(stage, "binary"):
        tensor = graph.emit("Min", [tensor, graph.constant(1.0)])
    kept = [0.0 if word in column.left_out or word.lower() in column.left_out else 1.0 for word in vocabulary]
    if not all(kept):
        tensor = graph.emit("Mul", [tensor, graph.constant([kept])])
    graph.words.setdefault(column.text, []).extend(vocabulary)
    graph.vocabularies.add(column.text)
    graph.add(outputs_of(stage)[0], tensor, len(vocabulary))


def hashing(graph: Graph, stage: Any) -> None:
    raise ConversionError(
        f"{called(stage)} hashes any word there is, which no ONNX operator does; use CountVectorizer, which holds its "
        "vocabulary"
    )


TEXT: dict[str, Callable[[Graph, Any], None]] = {
    "Tokenizer": tokenizer,
    "RegexTokenizer": regex_tokenizer,
    "StopWordsRemover": stop_words,
    "CountVectorizerModel": count_vectorizer,
    "HashingTF": hashing,
}
