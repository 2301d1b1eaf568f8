"""``python -m snakepit.verify``, or ``python path/to/snakepit/verify`` without the rest of the package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

# Of this package where it runs by its path: nothing around it is imported then.
ALONE = "snakepit_verify_alone"


def _package() -> str:
    """Name of the package that this file is of."""
    if __package__:
        return __package__
    here = Path(__file__).resolve().parent
    # Names here are not to stand in for the library's.
    sys.path[:] = [path for path in sys.path if not path or Path(path).resolve() != here]
    spec = importlib.util.spec_from_file_location(
        ALONE, here / "__init__.py", submodule_search_locations=[str(here)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{here} is no package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[ALONE] = package
    spec.loader.exec_module(package)
    return ALONE


if __name__ == "__main__":
    sys.exit(importlib.import_module(f"{_package()}._arguments").main(sys.argv[1:]))
