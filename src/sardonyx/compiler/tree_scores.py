"""The post transforms of ai.onnx.ml on rows of scores, as ONNX Runtime computes them; results are float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["POST_TRANSFORMS", "one_score", "several_scores"]

Array = npt.NDArray[Any]

POST_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")

_NEAR_ZERO = 1e-7
"""SOFTMAX_ZERO takes scores of at most this size as zero."""


def several_scores(scores: Array, transform: str) -> npt.NDArray[np.float32]:
    """The transform of scores (n, k) with k of 2 or more."""
    with np.errstate(all="ignore"):  # PROBIT outside (0, 1) is NaN
        if transform == "SOFTMAX":
            grown = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
            scores = grown / grown.sum(axis=1, keepdims=True)
        elif transform == "SOFTMAX_ZERO":
            scores = _softmax_zero(scores)
        elif transform == "LOGISTIC":
            scores = _logistic(scores)
        elif transform == "PROBIT":
            scores = _probit(scores)
        return scores.astype(np.float32)


def one_score(scores: Array, transform: str, opposite: str = "") -> npt.NDArray[np.float32]:
    """The transform of a single column (n, 1), which becomes two where ``opposite`` says how to make the first.

    ``opposite`` is "complement" (1 - score) or "negative" (-score); LOGISTIC makes both scores from the score and its
    negative, PROBIT changes the one score and makes no second one, the others change nothing.
    """
    with np.errstate(all="ignore"):
        if transform == "PROBIT":
            return _probit(scores)
        if opposite and transform == "LOGISTIC":
            return _logistic(np.concatenate([-scores, scores], axis=1))
        if opposite == "complement":
            scores = np.concatenate([1 - scores, scores], axis=1)
        elif opposite == "negative":
            scores = np.concatenate([-scores, scores], axis=1)
        return scores.astype(np.float32)


def _softmax_zero(scores: Array) -> Array:
    """Softmax over the scores that are not zero; zeros stay zeros."""
    top = scores.max(axis=1, keepdims=True, initial=-np.inf)
    counts = np.abs(scores) > _NEAR_ZERO
    grown = np.where(counts, np.exp(scores - top), 0)
    return np.asarray(np.where(counts, grown, scores * np.exp(-top)) / grown.sum(axis=1, keepdims=True))


def _logistic(scores: Array) -> npt.NDArray[np.float32]:
    value = scores.astype(np.float32)
    half = 1 / (1 + np.exp(-np.abs(value)))
    return np.where(value < 0, 1 - half, half).astype(np.float32)


def _probit(scores: Array) -> npt.NDArray[np.float32]:
    """The inverse of the normal distribution, by S. Winitzki's approximation of erf's inverse (2008), a = 0.147."""
    value = 2 * scores.astype(np.float32) - 1
    logarithm = np.log((1 - value) * (1 + value))
    middle = np.float32(2 / (np.float32(3.14159) * np.float32(0.147))) + logarithm / 2
    inner = np.sqrt(middle * middle - logarithm * (1 / np.float32(0.147))) - middle
    return np.asarray(np.float32(np.sqrt(2)) * np.where(value < 0, -1, 1) * np.sqrt(inner), dtype=np.float32)
