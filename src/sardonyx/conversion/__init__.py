"""Trained models of other frameworks to ONNX, with a certificate that the result answers as the source did.

recognition      what is this? (file signature, folder layout, type of a Python object)
  frameworks/    one file per framework: reading a source, exporting it, what its exporter gets wrong
  conversion     ``convert``: the road from a source to a model and its certificate
  samples        data that both sides run on
  certificate    how far both are apart
  writing        files that appear whole or not at all
"""

from __future__ import annotations

from sardonyx.conversion.certificate import Certificate
from sardonyx.conversion.conversion import Conversion, convert
from sardonyx.conversion.recognition import recognise
from sardonyx.conversion.source import Form, Request

__all__ = ["Certificate", "Conversion", "Form", "Request", "convert", "recognise"]
