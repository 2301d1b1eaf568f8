"""Ports for a cluster that are free now."""

from __future__ import annotations

import contextlib
import random
import socket
from typing import Final

from snakepit.errors import Exhausted

# Clients, peers, HTTP: see `snakepit cluster up --help`.
OFFSETS: Final = (0, 100, 200)
# Below the ports that Linux gives to outgoing connections.
_PORTS: Final = range(11_000, 31_000, 10)


def free_base(nodes: int) -> int:
    """A base port whose whole range is free. Raises Exhausted where there is none."""
    for base in random.sample(_PORTS, len(_PORTS)):
        if _are_free([base + offset + node for offset in OFFSETS for node in range(nodes)]):
            return base
    raise Exhausted("no free ports", hint="give base_port=")


def _are_free(ports: list[int]) -> bool:
    with contextlib.ExitStack() as held:
        for port in ports:
            one = held.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
