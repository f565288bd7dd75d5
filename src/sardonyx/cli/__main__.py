"""``python -m sardonyx.cli``: the same as the ``sardonyx`` script."""

from sardonyx.cli import main

main()
