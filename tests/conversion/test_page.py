"""The certificate as a page."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from sardonyx.conversion.certificate import Certificate, Measure, Thresholds
from sardonyx.conversion.page import page


def certificate(error: float) -> Certificate:
    measure = Measure("<scores>")
    source = np.linspace(0, 1, 30, dtype=np.float32).reshape(10, 3)
    measure.add(source, source + np.float32(error))
    data = {"origin": "types", "rows": 10, "calls": 1, "seed": 0}
    record = {"framework": "PyTorch & friends", "kind": "a module"}
    thresholds = Thresholds(3, 9, 0)
    return Certificate(record, {}, "engine", data, [measure.figures()], 1e-5, {"torch": "2"}, thresholds, ["a <note>"])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


def test_a_page_shows_verdict_figures_and_plots() -> None:
    passed = read(page(certificate(0)))
    assert "Passed." in passed.text
    assert passed.found.count("svg") == 2
    assert "<scores>" in passed.text
    assert "a <note>" in passed.text
    assert "scores" not in passed.found
    differs = read(page(certificate(0.25)))
    assert "Differs." in differs.text
    assert "Worst rows of <scores>" in differs.text


def test_a_page_loads_nothing_from_elsewhere() -> None:
    text = page(certificate(0.1))
    assert "http" not in text
    assert "<script" not in text
