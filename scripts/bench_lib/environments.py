"""Virtual environments of the rivals: made once per machine, outside the clone, named by what is in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench_lib.system import say


def python_with(*requirements: str) -> Path:
    """The Python of an environment that has these packages, each with its version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"py{sys.version_info[0]}.{sys.version_info[1]}"
    name = "+".join(text.replace("==", "-").replace("[redis]", "") for text in requirements)
    folder = cache / "snakepit/rivals" / f"{name}-{version}"
    python, stamp = folder / "bin/python", folder / "complete"
    if not stamp.exists():
        say(f"== installing {' '.join(requirements)} into {folder}")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        stamp.touch()
    return python


def _run(line: list[str]) -> None:
    if subprocess.run(line, check=False).returncode != 0:
        raise SystemExit(
            f"error: {' '.join(line)} failed\nhint: its reason is above; leave it out of --against"
        )
