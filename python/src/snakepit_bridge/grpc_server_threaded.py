"""`grpc_server` for adapters that declare themselves thread safe; others are refused."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not __package__:
    # Started by its path: this folder has modules that are named as some of the standard library.
    del sys.path[0]

from snakepit_bridge.grpc_server import main as _main


def main() -> None:
    """Run the server; see `snakepit_bridge.grpc_server`."""
    _main(threaded=True)


if __name__ == "__main__":
    main()
