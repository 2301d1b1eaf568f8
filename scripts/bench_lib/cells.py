"""Cells of the tables: what is measured at once."""

from __future__ import annotations

import argparse
from typing import NamedTuple

NODES = 3
TARGETS = ("any", "leader", "followers")


class Cell(NamedTuple):
    """What is measured of a system at once."""

    op: str
    clients: int
    # Which nodes are asked: any, as `snakepit bench` spreads clients over them, leader or followers.
    target: str = "any"

    def __str__(self) -> str:
        asked = "" if self.target == "any" else f" at the {self.target}"
        return f"{self.op} {self.clients:3} clients{asked}"


def state_cells(flags: argparse.Namespace) -> list[Cell]:
    """All cells of those that hold state. Which node one client asks must not be left to an election."""

    def targets(clients: int) -> list[str]:
        return flags.targets or (["any"] if clients >= NODES else ["leader", "followers"])

    return [Cell(op, n, target) for op in flags.ops for n in flags.clients for target in targets(n)]
