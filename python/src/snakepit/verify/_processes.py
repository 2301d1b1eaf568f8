"""Lines are checked in several processes, for they are most of the work; what they say comes in order."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final

from . import _line
from ._line import Batch

if TYPE_CHECKING:
    from concurrent.futures import Future

# Fewer events are not worth the processes.
EVENTS_MIN: Final = 10_000
JOBS_MAX: Final = 8
# Batches that wait for each process.
AHEAD: Final = 2


def jobs_for(events: int) -> int:
    """Processes for so many events: 1 is this one alone."""
    # They are forked: one that is started would not find this package where it runs alone.
    if events < EVENTS_MIN or sys.platform != "linux":
        return 1
    return min(JOBS_MAX, os.cpu_count() or 1)


def read_all(
    batches: Iterable[list[bytes]], first: int, source: str | None, jobs: int
) -> Generator[Batch, None, None]:
    """What `_line.read` says of each batch; the first of them begins at position `first`."""
    if jobs == 1:
        for lines in batches:
            yield _line.read(lines, first, source)
            first += len(lines)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("fork")
    waiting: deque[Future[Batch]] = deque()
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        try:
            for lines in batches:
                waiting.append(pool.submit(_line.read, lines, first, source))
                first += len(lines)
                if len(waiting) > jobs * AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
