"""The object that ONNX Runtime's session wraps, for programs that reach for ``session._sess``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sardonyx.options import RunOptions
from sardonyx.session.values import OrtValue, OrtValueVector

if TYPE_CHECKING:
    from sardonyx.session.inference import InferenceSession

__all__ = ["InnerSession"]


class InnerSession:
    """A session whose arguments come in the order of ONNX Runtime's C++ class; everything else is the session's."""

    def __init__(self, session: InferenceSession) -> None:
        self.session = session

    def run_with_ort_values(
        self, feeds: Mapping[str, OrtValue], output_names: Sequence[str], run_options: RunOptions | None
    ) -> OrtValueVector:
        """``InferenceSession.run_with_ort_values`` with the feeds first."""
        return OrtValueVector(self.session.run_with_ort_values(output_names, feeds, run_options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)
