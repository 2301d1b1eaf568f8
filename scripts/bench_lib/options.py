"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench_lib.cells import TARGETS
from bench_lib.extras import EXTRAS

STORES = ("etcd",)
CALLERS = ("ray", "ray-get", "celery", "sdk")
OF_CLUSTERS = ("call", "failover")


def read(what: str) -> argparse.Namespace:
    """The flags. `state` and `tools` say which of the two tables are wanted."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=what)
    add = parser.add_argument
    add("--against", type=_words, metavar="A,B", help="etcd, ray, ray-get, celery, sdk; none (etcd)")
    add("--calls", action="store_true", help="calls of tools only (--against ray,celery)")
    add("--rounds", type=int, default=3, help="times that each cell is measured (3)")
    add("--duration", type=int, default=10, help="seconds measured in each (10)")
    add("--warmup", type=int, default=2, help="seconds before that (2)")
    add("--ops", type=_words, default=["set", "get"], metavar="A,B", help="operations beside etcd (set,get)")
    add("--clients", type=_numbers, metavar="N,N", help="numbers of clients (1,64,256; of calls 1,64)")
    targets = "any; leader,followers where there are fewer clients than nodes"
    add("--targets", type=_words, metavar="A,B", help=f"nodes asked: any, leader, followers ({targets})")
    add("--value-bytes", type=int, default=256, help="size of a value (256)")
    extras = ", ".join((*OF_CLUSTERS, *EXTRAS))
    add("--extra", type=_words, metavar="A,B", help=f"what else: {extras}; none (call,failover beside etcd)")
    add("--failover-rounds", type=int, default=7, help="leaders killed (7)")
    add("--base-port", type=int, default=7301, help="first port that is used (7301)")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    add("--results", type=Path, default=state / "snakepit/bench", help="where results and data go")
    add("--keep", action="store_true", help="keep the nodes' data and logs")
    flags = parser.parse_args()
    if flags.against is None:
        flags.against = ["ray", "celery"] if flags.calls else ["etcd"]
    _known(parser, "--against", flags.against, (*STORES, *CALLERS))
    flags.tools = flags.calls or any(name in CALLERS for name in flags.against)
    flags.state = not flags.tools or (not flags.calls and "etcd" in flags.against)
    _known(parser, "--targets", flags.targets or [], TARGETS)
    if flags.extra is None:
        flags.extra = list(OF_CLUSTERS) if flags.state else []
    _known(parser, "--extra", flags.extra, (*OF_CLUSTERS, *EXTRAS))
    flags.call_clients = flags.clients or [1, 64]
    flags.clients = flags.clients or [1, 64, 256]
    return flags


def _known(parser: argparse.ArgumentParser, option: str, given: list[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            parser.error(f"{option}: no such thing as {name}; there are {', '.join(known)}")


def _words(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]
