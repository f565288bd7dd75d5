"""Makes the isolated environments that conversions need (MXNet, Chainer), as far as that is possible here.

python tools/isolated_environments.py
"""

from __future__ import annotations

import sys

from sardonyx.conversion.isolated.framework import IsolatedFramework
from sardonyx.conversion.recognition import all_frameworks
from sardonyx.errors import ConversionError


def main() -> int:
    for framework in all_frameworks():
        if isinstance(framework, IsolatedFramework):
            try:
                installed = framework.environment.ensure(print)
            except ConversionError as error:
                print(f"{framework.title}: its tests are left out. {error}")
            else:
                print(f"{framework.title}: {installed.python}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
