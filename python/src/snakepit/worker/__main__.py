"""``python -m snakepit.worker``: see the package."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run this process as a worker, or with ``--zygote`` as the one that a pool's workers are forked of."""
    if "--zygote" in sys.argv[1:]:
        from snakepit.worker import _zygote

        _zygote.main(sys.argv[1:])
    from snakepit.worker import _process

    _process.run(sys.argv[1:])


if __name__ == "__main__":
    main()
