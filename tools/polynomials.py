"""Computes the polynomial coefficients of sardonyx.lang.vmath and writes them to its coefficients.py.

    python tools/polynomials.py

Each polynomial is the minimax approximation (Remez exchange, 120 digits) of ``function`` on an interval, in the sense
of the largest ``weight(x) * |p(x) - function(x)|``; the weight makes that the error relative to the final result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 120
Real = Any
Function = Callable[[Real], Real]
LN2 = mp.log(2)
TINY = mp.mpf(10) ** -24


@dataclass(frozen=True)
class Approximation:
    """What to approximate, where, and with what degrees in float32 and float64 (None: not needed)."""

    function: Function
    weight: Function
    low: Real
    high: Real
    degree32: int | None
    degree64: int | None


def remez(a: Approximation, degree: int) -> tuple[list[Real], Real]:
    """The coefficients of the best polynomial and its largest weighted error."""
    low, high = mp.mpf(a.low), mp.mpf(a.high)
    count = degree + 2
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / (40 * count)) for k in range(40 * count + 1)]
    target = [(x, a.function(x), a.weight(x)) for x in grid]
    coefficients: list[Real] = []
    for _ in range(30):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, x in enumerate(nodes):
            for power in range(degree + 1):
                system[row, power] = x**power
            system[row, degree + 1] = (-1) ** row / a.weight(x)
            right[row] = a.function(x)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[k] for k in range(degree + 1)]
        errors = [(w * (mp.polyval(coefficients[::-1], x) - f), x) for x, f, w in target]
        extrema = _alternating(errors, count)
        largest = max(abs(e) for e, _ in errors)
        if largest <= abs(solution[degree + 1]) * (1 + mp.mpf(10) ** -4):
            return coefficients, largest
        nodes = extrema
    return coefficients, largest


def _alternating(errors: list[tuple[Real, Real]], count: int) -> list[Real]:
    """The places of the largest errors of alternating sign, ``count`` of them."""
    runs: list[tuple[Real, Real]] = []
    for error, x in errors:
        if runs and (error > 0) == (runs[-1][0] > 0):
            if abs(error) > abs(runs[-1][0]):
                runs[-1] = (error, x)
        else:
            runs.append((error, x))
    while len(runs) > count:
        runs.pop(0 if abs(runs[0][0]) < abs(runs[-1][0]) else -1)
    if len(runs) < count:
        raise ValueError(f"only {len(runs)} alternations of {count}: the degree is too high for the precision")
    return [x for _, x in runs]


def in_square(function: Function) -> Function:
    """The function of z = x**2 at x = sqrt(z)."""
    return lambda z: function(mp.sqrt(z if z > TINY else TINY))


def relative(function: Function, factor: Function) -> Function:
    """The weight of a term that is multiplied by ``factor`` and added to make ``function``."""
    return lambda x: abs(factor(x) / function(x))


def odd(function: Function, limit: Real, degree32: int | None, degree64: int | None) -> Approximation:
    """function(x) = x + x**3 * P(x**2) for |x| <= limit."""
    rest = in_square(lambda x: (function(x) - x) / x**3)
    return Approximation(rest, in_square(relative(function, lambda x: x**3)), 0, mp.mpf(limit) ** 2, degree32, degree64)


def _away(function: Function) -> Function:
    return lambda x: function(x if abs(x) > TINY else TINY)


_half = LN2 / 2 * mp.mpf("1.01")
_log = _away(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3)
_atanh = in_square(lambda s: (mp.atanh(s) * 2 - 2 * s) / s**3)
_erfcx = lambda x: mp.exp(x * x) * mp.erfc(x)  # noqa: E731
_fold = lambda t: 2 * (1 + t) / (1 - t)  # noqa: E731  # x of t = (x - 2) / (x + 2)

APPROXIMATIONS = {
    # e**r = 1 + r + r**2 P(r)
    "EXP": Approximation(
        _away(lambda r: (mp.expm1(r) - r) / r**2), lambda r: r**2 / mp.exp(r) + TINY, -_half, _half, 4, 9
    ),
    # the same, where the error is to be small beside e**r - 1
    "EXPM1": Approximation(
        _away(lambda r: (mp.expm1(r) - r) / r**2), _away(lambda r: abs(r**2 / mp.expm1(r))), -_half, _half, 5, 10
    ),
    # 2**r = 1 + r P(r)
    "EXP2": Approximation(
        _away(lambda r: (mp.mpf(2) ** r - 1) / r), lambda r: 1 / mp.mpf(2) ** r, -0.505, 0.505, 5, 11
    ),
    # log(1 + f) = f - f**2 / 2 + f**3 P(f)
    "LOG": Approximation(_log, _away(lambda f: abs(f**3 / mp.log1p(f))), mp.sqrt(0.5) - 1, mp.sqrt(2) - 1, 7, None),
    # log(1 + x) = x + x**2 P(x) for 0 <= x <= 1
    "LOG1P": Approximation(
        _away(lambda x: (mp.log1p(x) - x) / x**2), _away(lambda x: x**2 / mp.log1p(x)), 0, 1, 9, None
    ),
    # log((1 + s) / (1 - s)) = 2 s + s**3 P(s**2)
    "LOG_RATIO": Approximation(
        _atanh, in_square(lambda s: s**3 / (2 * mp.atanh(s))), 0, (3 - 2 * mp.sqrt(2)) ** 2, None, 6
    ),
    # the same for pow: atanh(s) = s + s**3 / 3 + s**5 P(s**2)
    "LOG_RATIO_5": Approximation(
        in_square(lambda s: (mp.atanh(s) - s - s**3 / 3) / s**5),
        in_square(lambda s: s**5 / mp.atanh(s)),
        0,
        (3 - 2 * mp.sqrt(2)) ** 2,
        None,
        6,
    ),
    # what float32 needs of the last two, in float64
    "POW_LOG": Approximation(
        in_square(lambda s: (mp.atanh(s) - s) / s**3),
        in_square(relative(mp.atanh, lambda s: s**3)),
        0,
        (3 - 2 * mp.sqrt(2)) ** 2,
        None,
        4,
    ),
    "POW_EXP2": Approximation(
        _away(lambda r: (mp.mpf(2) ** r - 1) / r), lambda r: 1 / mp.mpf(2) ** r, -0.505, 0.505, None, 5
    ),
    "SIN": odd(mp.sin, mp.pi / 4 * mp.mpf("1.001"), 2, 5),
    # cos(x) = 1 - x**2 / 2 + x**4 P(x**2)
    "COS": Approximation(
        in_square(lambda x: (mp.cos(x) - 1 + x * x / 2) / x**4),
        in_square(relative(mp.cos, lambda x: x**4)),
        0,
        (mp.pi / 4 * mp.mpf("1.001")) ** 2,
        2,
        5,
    ),
    "TANH": odd(mp.tanh, 0.65, 4, None),
    "SINH": odd(mp.sinh, 1, 3, 6),
    "ASIN": odd(mp.asin, 0.5, 4, 12),
    "ATAN": odd(mp.atan, mp.sqrt(2) - 1, 4, 10),
    # erf(x) = x + x P(x**2)
    "ERF": Approximation(
        in_square(lambda x: (mp.erf(x) - x) / x), in_square(relative(mp.erf, lambda x: x)), 0, 1, 6, 11
    ),
    # erfc(x) = 2**P(x); the error counts as it does in 1 - erfc(x)
    "ERFC_LOG2": Approximation(lambda x: mp.log(mp.erfc(x), 2), lambda x: mp.erfc(x) / mp.erf(x), 0.97, 4.1, 5, None),
    # erfc(x / sqrt(2)) / 2 = 2**P(x); the error counts absolutely, and keeps some sense where that is very small
    "GELU": Approximation(
        lambda x: mp.log(mp.erfc(x / mp.sqrt(2)) / 2, 2),
        lambda x: mp.erfc(x / mp.sqrt(2)) + mp.mpf(2) ** -30,
        0,
        14.5,
        9,
        None,
    ),
    # erfc(x) = exp(-x**2) P((x - 2) / (x + 2))
    "ERFCX": Approximation(
        lambda t: _erfcx(_fold(t)),
        lambda t: mp.exp(-(_fold(t) ** 2)) / mp.erf(_fold(t)),
        mp.mpf(-1.03) / mp.mpf(2.97),
        mp.mpf(4) / 8,
        None,
        13,
    ),
}

HEADER = '''"""Polynomial coefficients, lowest power first; made and explained by tools/polynomials.py."""

from __future__ import annotations

__all__ = ["FLOAT32", "FLOAT64"]

'''


def table(degrees: str, convert: Callable[[Real], float]) -> str:
    """The coefficients of one precision as Python source; each with its largest weighted error as a comment."""
    lines = []
    for name, approximation in APPROXIMATIONS.items():
        degree = getattr(approximation, degrees)
        if degree is None:
            continue
        coefficients, error = remez(approximation, degree)
        lines.append(f'    "{name}": (  # error 2**{mp.nstr(mp.log(error, 2), 4)}')
        lines.extend(f"        {convert(c)!r}," for c in coefficients)
        lines.append("    ),")
        print(degrees, name, degree, mp.nstr(mp.log(error, 2), 5), flush=True)
    return "\n".join(lines)


def main() -> None:
    single = table("degree32", lambda c: float(np.float32(float(c))))
    double = table("degree64", float)
    text = (
        f"{HEADER}FLOAT32: dict[str, tuple[float, ...]] = {{\n{single}\n}}\n\n"
        f"FLOAT64: dict[str, tuple[float, ...]] = {{\n{double}\n}}\n"
    )
    (Path(__file__).parent.parent / "src/sardonyx/lang/vmath/coefficients.py").write_text(text)


if __name__ == "__main__":
    main()
