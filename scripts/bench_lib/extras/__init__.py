"""What is measured of Snakepit alone: the table of `--extra`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench_lib.extras import journal, respawn, start16, stream
from bench_lib.extras.rig import Rig

EXTRAS: Final[dict[str, Callable[[Rig], None]]] = {
    "start16": start16.measure,
    "respawn": respawn.measure,
    "stream": stream.measure,
    "journal": journal.measure,
}
