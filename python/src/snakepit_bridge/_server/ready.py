"""Telling whoever started this process on which port it serves."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def tell(port: int, ready_file: str) -> None:
    """Write the port to the file, in one step, and print the line."""
    if ready_file:
        draft = Path(f"{ready_file}.{os.getpid()}.tmp")
        draft.write_text(str(port), encoding="ascii")
        draft.replace(ready_file)
    sys.stdout.write(f"GRPC_READY:{port}\n")
    sys.stdout.flush()
