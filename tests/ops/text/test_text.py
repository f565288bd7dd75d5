"""Operators on strings against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.ml.against import FLOAT, INT64, STRING, check, node_model, reference_of, run_ours, session_of
from sardonyx.errors import ExecutionError, InvalidModelError

BOOL = 9
WORDS = np.array(["Alpha", "beta", "BETA", "", "Straße", "ΑΣ", "über", "İI ı", "beta", "a b  c "], object)


def compare(op: str, x: np.ndarray, results: list[int], **attributes: Any) -> None:
    check(op, x, results, domain="", **attributes)


@pytest.mark.parametrize("action", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("sensitive", [0, 1])
@pytest.mark.parametrize("stops", [[], ["beta"], ["BETA", "Straße"], WORDS.tolist()])
def test_normalizer(action: str, sensitive: int, stops: list[str]) -> None:
    attributes: dict[str, Any] = {"case_change_action": action, "is_case_sensitive": sensitive, "locale": "C.UTF-8"}
    if stops:
        attributes["stopwords"] = stops
    compare("StringNormalizer", WORDS, [STRING], **attributes)
    (vector,) = run_ours(node_model("StringNormalizer", {"x": WORDS}, [STRING], domain="", **attributes), {"x": WORDS})
    model = node_model("StringNormalizer", {"x": WORDS[None]}, [STRING], domain="", **attributes)
    assert run_ours(model, {"x": WORDS[None]})[0].tolist() == [vector.tolist()]


def test_normalizer_needs_no_locale() -> None:
    model = node_model(
        "StringNormalizer", {"x": WORDS}, [STRING], domain="", case_change_action="LOWER", locale="tr_TR"
    )
    (got,) = run_ours(model, {"x": np.array(["İIiı", "QWE", "Ÿß"], object)})
    assert got.tolist() == ["iıiı", "qwe", "ÿß"]
    model = node_model(
        "StringNormalizer", {"x": WORDS}, [STRING], domain="", case_change_action="UPPER", locale="xx_YY"
    )
    assert run_ours(model, {"x": np.array(["iß"], object)})[0].tolist() == ["Iß"]


def test_normalizer_of_rows() -> None:
    x = np.array([["a"], ["b"]], object)
    with pytest.raises(ExecutionError, match=r"expected|must have shape"):
        run_ours(node_model("StringNormalizer", {"x": x}, [STRING], domain=""), {"x": x})


def test_concat() -> None:
    inputs = {"x": np.array([["a"], ["é"]], object), "y": np.array(["", "b", "c"], object)}
    (got,) = run_ours(node_model("StringConcat", inputs, [STRING], domain="", opset=20), inputs)
    assert got.tolist() == [["a", "ab", "ac"], ["é", "éb", "éc"]]
    scalars = {"x": np.array("a", object), "y": np.array("b", object)}
    (got,) = run_ours(node_model("StringConcat", scalars, [STRING], domain="", opset=20), scalars)
    assert (got.shape, got.item()) == ((), "ab")


@pytest.mark.parametrize("delimiter", [None, "", "b", ", "])
@pytest.mark.parametrize("most", [None, 0, 1, 3])
def test_split(delimiter: str | None, most: int | None) -> None:
    attributes: dict[str, Any] = {} if delimiter is None else {"delimiter": delimiter}
    if most is not None:
        attributes["maxsplit"] = most
    x = np.array([["a b c", "abbab", "a, b, c, d"], [" lead", "trail  ", "x"]], object)
    compare("StringSplit", x, [STRING, INT64], opset=20, **attributes)
    compare("StringSplit", x[:0], [STRING, INT64], opset=20, **attributes)


PATTERNS = [
    "a+b*",
    "a|bc|",
    "(?i)straße",
    "a(?i)B(?-i)c",
    "(?i:AB)c",
    "[[:alpha:]]+",
    "[^[:digit:]]*",
    r"\d+",
    r"\w+",
    r"\W",
    r"\s*",
    r"[\d\W]+",
    r"[^\w]",
    r"\pL+",
    r"\p{Lu}\p{Ll}*",
    r"\P{L}+",
    r"[\p{Lu}x]+",
    r"\Qa.b\E.",
    r"\x{e9}",
    r"\x41",
    "a{2,3}",
    "a{,2}",
    "a{2",
    "(?P<n>a)(?<m>b)",
    "^a$",
    r"\Aab\z",
    "a.b",
    "(?s)a.b",
    "(?m)^a$\n^b$",
    "[]a]+",
    "[a-]+",
    r"[\]\\]+",
    "[a&&b]+",
    "[+--]+",
    "[[a]+",
    r"\bab\b",
    "x*?y+?",
    r"\101",
    "((a)|b)+",
    "(?i)a|B",
    "(?i)(x|y)Z",
    "",
    "é.",
    r"^[\w\.\-]+@[\w\-]+(\.[\w\-]+)+$",
]
TEXTS = [
    "",
    "a",
    "aab",
    "bc",
    "STRASSE",
    "Straße",
    "aBc",
    "aBC",
    "abc",
    "ABc",
    "12",
    "é",
    "éa",
    "_x9",
    " \t\n",
    "Ab",
    "ÉÈ",
    "a.bc",
    "axb",
    "a\nb",
    "a\n",
    "ab",
    "aa",
    "aaa",
    "aaaa",
    "a{,2}",
    "a{2",
    "]a]",
    "a-a",
    "\\]",
    "a&b",
    "&&",
    "a-b",
    "[a",
    "xyyy",
    "A",
    "ba",
    "B",
    "XZ",
    "yz",
    "é9",
    "-",
    "٣",
    "name.x@host-1.org",
    "a^",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regular_expression(pattern: str) -> None:
    compare("RegexFullMatch", np.array(TEXTS, object), [BOOL], opset=20, pattern=pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "a(?=b)", "(?<!a)b", "a*+", "a**", "(?>a)", "(", "a)", "[a", r"\8", "a{1001}", "*", r"\pX", "(?#c)"],
)
def test_no_expression_of_re2(pattern: str) -> None:
    x = np.array(["a"], object)
    model = node_model("RegexFullMatch", {"x": x}, [BOOL], domain="", opset=20, pattern=pattern)
    with pytest.raises(InvalidModelError, match="pattern"):
        run_ours(model, {"x": x})
    with pytest.raises(Exception, match=r"(?i)invalid|regex"):
        reference_of(model)


def ngrams(rng: np.random.Generator, strings: bool, lengths: int, counts: list[int]) -> dict[str, Any]:
    """A pool of distinct n-grams, with shuffled columns."""
    pool: list[int] = []
    starts = []
    for length, count in zip(range(1, lengths + 1), counts, strict=True):
        starts.append(len(pool))
        grams = {tuple(rng.integers(0, 6, length).tolist()) for _ in range(count)}
        pool += [token for gram in sorted(grams) for token in gram]
    ends = [*starts[1:], len(pool)]
    total = sum((stop - start) // (n + 1) for n, (start, stop) in enumerate(zip(starts, ends, strict=True)))
    result: dict[str, Any] = {
        "ngram_counts": starts,
        "ngram_indexes": rng.permutation(total).tolist(),
        "weights": rng.normal(size=total).astype(np.float32).tolist(),
    }
    result["pool_strings" if strings else "pool_int64s"] = [f"w{t}" for t in pool] if strings else pool
    return result


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "object"])
@pytest.mark.parametrize("skips", [0, 1, 4])
def test_ngrams(mode: str, dtype: str, skips: int) -> None:
    rng = np.random.default_rng([skips, len(mode)])
    for least, most in ((1, 1), (1, 3), (2, 3)):
        attributes = ngrams(rng, dtype == "object", 3, [4, 15, 30])
        attributes |= {"mode": mode, "min_gram_length": least, "max_gram_length": most, "max_skip_count": skips}
        tokens = rng.integers(0, 8, (7, 23))
        x = tokens.astype(dtype) if dtype != "object" else np.array([[f"w{t}" for t in row] for row in tokens], object)
        compare("TfIdfVectorizer", x, [FLOAT], rows=[1], **attributes)
        compare("TfIdfVectorizer", x[0], [FLOAT], **attributes)


def test_rows_shorter_than_an_ngram() -> None:
    attributes = ngrams(np.random.default_rng(0), False, 3, [2, 3, 9])
    attributes |= {"mode": "TF", "min_gram_length": 2, "max_gram_length": 3, "max_skip_count": 5}
    model = node_model("TfIdfVectorizer", {"x": np.zeros((2, 1), np.int64)}, [FLOAT], domain="", **attributes)
    session = session_of(model)
    for columns in (0, 1, 2):
        (got,) = session.run(None, {"x": np.zeros((2, columns), np.int64)})
        assert got.shape == (2, len(attributes["ngram_indexes"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "BM25"}, "expected one of TF"),
        ({"max_gram_length": 4}, "do not divide a pool"),
        ({"min_gram_length": 0}, "n-grams of 0"),
        ({"ngram_counts": [0, 99, 4]}, "do not divide a pool"),
        ({"ngram_indexes": [0]}, "more n-grams in the pool"),
        ({"ngram_indexes": [-1, 0]}, "none of them negative"),
        ({"weights": [1.0]}, "1 weights"),
    ],
)
def test_broken_pools(change: dict[str, Any], message: str) -> None:
    attributes = ngrams(np.random.default_rng(0), False, 3, [2, 3, 9])
    attributes |= {"mode": "TF", "min_gram_length": 1, "max_gram_length": 3, "max_skip_count": 0} | change
    if "weights" not in change:
        del attributes["weights"]
    x = np.zeros((2, 5), np.int64)
    with pytest.raises(InvalidModelError, match=message):
        run_ours(node_model("TfIdfVectorizer", {"x": x}, [FLOAT], domain="", **attributes), {"x": x})
