"""The command line: ``sardonyx run | bench | check | inspect | cache | version``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``sardonyx`` script."""
    from sardonyx.cli.app import app  # imported here: typer and rich are not on the road of the library

    app()
