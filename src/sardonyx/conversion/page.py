"""A certificate as a page for people."""

from __future__ import annotations

from html import escape

from sardonyx.conversion.certificate import Certificate

__all__ = ["page"]


def page(certificate: Certificate) -> str:
    """One HTML document without anything from elsewhere."""
    rows = "".join(
        f"<tr><td>{escape(o.name)}<td>{o.rows}<td>{o.absolute:.3g}<td>{o.relative:.3g}<td>{o.flips}</tr>"
        for o in certificate.outputs
    )
    verdict = "passed" if certificate.passed else "differs"
    return f"<!doctype html><meta charset=utf-8><title>Certificate</title><h1>{verdict}</h1><table>{rows}</table>"
