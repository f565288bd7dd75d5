"""A certificate as one HTML page: the verdict, the figures, and where the differences lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from sardonyx.conversion.certificate import Certificate, OutputFigures

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --line: #d7d7de; --soft: #6b6b76; --bar: #b4532a;
  --good: #1c7c4a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf1; --paper: #17171b; --line: #3a3a42; --soft: #a0a0ab;
  --bar: #e08a5b; --good: #5cc48d; --bad: #f2857c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.verdict { font-weight: 600 } .good { color: var(--good) } .bad { color: var(--bad) } .soft { color: var(--soft) }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .8rem .3rem 0; text-align: right;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; vertical-align: top }
td:first-child, th:first-child { text-align: left } td.text { text-align: left; overflow-wrap: anywhere }
.plots { display: flex; flex-wrap: wrap; gap: 2rem } .wide { overflow-x: auto } code { overflow-wrap: anywhere }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft) } figcaption { color: var(--soft); font-size: .85rem }
figure { margin: 0 }
"""
_ORIGINS = {
    "given": "data given by the caller",
    "training": "data drawn from the ranges that the model remembers of its training",
    "types": "data drawn by declared type; the model remembers no ranges",
}
_WIDTH, _HEIGHT, _MARGIN = 420, 220, 36


def page(certificate: Certificate) -> str:
    """One HTML document that needs nothing from elsewhere, light or dark as the reader's system is."""
    title = f"{certificate.source['framework']} to ONNX"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Certificate: {escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>{_verdict(certificate)}",
        _outputs(certificate),
        *(_plots(output, certificate.tolerance) for output in certificate.outputs if output.pairs),
        *(_worst(output) for output in certificate.outputs if output.worst),
        _thresholds(certificate),
        _list("What had to be repaired", certificate.notes),
        _facts(certificate),
        "</html>",
    ]
    return "\n".join(parts)


def _verdict(certificate: Certificate) -> str:
    data = certificate.data
    if certificate.passed:
        text = "<span class='verdict good'>Passed.</span> The converted model answers as the source does"
    else:
        text = "<span class='verdict bad'>Differs.</span> The converted model does not answer as the source does"
    where = f"{data['rows']} rows of {_ORIGINS[data['origin']]}; tolerance {certificate.tolerance:g} relative."
    hint = f" First layer that differs: <code>{escape(certificate.first_difference)}</code>."
    return f"<p>{text}, on {where}{hint if certificate.first_difference else ''}</p>"


def _outputs(certificate: Certificate) -> str:
    rows = []
    for o in certificate.outputs:
        numbers = ("", "", "") if o.kind == "labels" else (f"{o.absolute:.3g}", f"{o.relative:.3g}", f"{o.ulp:.0f}")
        rows.append([o.name, o.problem or o.kind, o.rows, *numbers, "" if o.kind == "numbers" else o.flips])
    columns = ["output", "kind", "rows", "largest absolute", "largest relative", "ulp", "label flips"]
    return f"<h2>Outputs</h2>{_table(columns, rows)}"


def _plots(output: OutputFigures, tolerance: float) -> str:
    return (
        f"<h2>{escape(output.name)}</h2><div class=plots>"
        f"<figure>{_histogram(output, tolerance)}<figcaption>Elements by relative difference (powers of ten); the line "
        f"is the tolerance.</figcaption></figure><figure>{_scatter(output)}<figcaption>Converted (up) against source "
        f"(right), a sample of elements.</figcaption></figure></div>"
    )


def _histogram(output: OutputFigures, tolerance: float) -> str:
    """Bars on a logarithmic scale of counts: one element out of a million must be seen."""
    first, last = output.decades[0][0], max(output.decades[-1][0], math.ceil(math.log10(max(tolerance, 1e-30))))
    step = (_WIDTH - 2 * _MARGIN) / (last - first + 1)
    most = math.log10(1 + max(count for _, count in output.decades))
    bars = []
    for decade, count in output.decades:
        height = (_HEIGHT - 2 * _MARGIN) * math.log10(1 + count) / most
        x, y = _MARGIN + (decade - first) * step, _HEIGHT - _MARGIN - height
        label = "0" if decade == first else f"1e{decade}"
        bars.append(
            f"<rect x={x:.1f} y={y:.1f} width={step - 2:.1f} height={height:.1f} fill='var(--bar)'>"
            f"<title>{count} elements up to {label}</title></rect>"
            f"<text x={x + step / 2:.1f} y={_HEIGHT - _MARGIN + 14} text-anchor=middle>{label}</text>"
            f"<text x={x + step / 2:.1f} y={y - 4:.1f} text-anchor=middle>{count}</text>"
        )
    x = _MARGIN + (math.log10(max(tolerance, 1e-30)) - first + 1) * step
    line = (
        f"<line x1={x:.1f} x2={x:.1f} y1={_MARGIN} y2={_HEIGHT - _MARGIN} stroke='var(--bad)' stroke-dasharray='4 3'/>"
    )
    return _svg("Histogram of relative differences", [*bars, line])


def _scatter(output: OutputFigures) -> str:
    values = [value for pair in output.pairs for value in pair]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return _MARGIN + (value - low) / span * (_WIDTH - 2 * _MARGIN)

    def y(value: float) -> float:
        return _HEIGHT - _MARGIN - (value - low) / span * (_HEIGHT - 2 * _MARGIN)

    diagonal = f"<line x1={x(low)} y1={y(low)} x2={x(high)} y2={y(high)} stroke='var(--line)'/>"
    dots = [f"<circle cx={x(a):.1f} cy={y(b):.1f} r=2.5 fill='var(--bar)' fill-opacity=.6 />" for a, b in output.pairs]
    ends = [
        f"<text x={_MARGIN} y={_HEIGHT - 12}>{low:.4g}</text>",
        f"<text x={_WIDTH - _MARGIN} y={_HEIGHT - 12} text-anchor=end>{high:.4g}</text>",
    ]
    return _svg("Converted against source", [diagonal, *dots, *ends])


def _svg(title: str, shapes: Iterable[str]) -> str:
    opening = f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' width={_WIDTH} role=img aria-label='{title}'>"
    return f"{opening}{''.join(shapes)}</svg>"


def _worst(output: OutputFigures) -> str:
    rows = [[worst.row, f"{worst.absolute:.3g}", worst.source, worst.converted] for worst in output.worst]
    return f"<h2>Worst rows of {escape(output.name)}</h2>{_table(['row', 'absolute', 'source', 'converted'], rows)}"


def _thresholds(certificate: Certificate) -> str:
    found = certificate.thresholds
    if found is None:
        return ""
    verdict = "every comparison keeps its side" if not found.differ else f"<b class=bad>{found.differ} rows differ</b>"
    return (
        f"<h2>Split values of trees</h2><p>{found.values} values are compared with; {found.rows} rows at and next to "
        f"them ran on both sides: {verdict}.</p>"
    )


def _facts(certificate: Certificate) -> str:
    source = [[name, value] for name, value in certificate.source.items()]
    model = [[f"model {name}", value] for name, value in certificate.model.items()]
    versions = ", ".join(f"{name} {version}" for name, version in certificate.versions.items())
    rows = [*source, *model, ["engine", certificate.engine], ["versions", versions], ["seed", certificate.data["seed"]]]
    cells = "".join(f"<tr><td>{escape(str(n))}<td class=text><code>{escape(str(v))}</code></tr>" for n, v in rows)
    return f"<h2>Who was compared with whom</h2><table>{cells}</table>"


def _list(title: str, items: Sequence[str]) -> str:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(item)}' for item in items)}</ul>" if items else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    return f"<div class=wide><table><tr>{head}{body}</table></div>"
