"""``python -m snakepit.demo``: a search over the digits tools, through all nodes of a running cluster.

Standard output: one JSON line a trial, with trial, params, score, node, worker, ms and at_ms (wall clock).
The events file: one JSON line for each step, failure and, last, the summary. Nodes may be killed meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import uuid
from typing import Any, TextIO

from snakepit import Client
from snakepit.demo import _search
from snakepit.errors import Invalid, SnakepitError


def main() -> int:
    """Run the search; exit codes: 0 done, 1 failed, 2 usage."""
    flags = _flags()
    with contextlib.ExitStack() as stack:
        events: TextIO | None = None
        if flags.events:
            events = stack.enter_context(open(flags.events, "a", encoding="utf-8"))

        def tell(record: dict[str, Any]) -> None:
            if events is not None:
                events.write(json.dumps({"at_ms": int(time.time() * 1000), **record}) + "\n")
                events.flush()

        try:
            client = stack.enter_context(Client(flags.endpoints, principal=flags.principal, spread=True))
        except Invalid as error:
            sys.stderr.write(f"{error}; {error.hint}\n")
            return 2
        return _drive(client, flags, tell)


def _drive(client: Client, flags: argparse.Namespace, tell: Any) -> int:
    steps = _search.Steps(tell)
    best: dict[str, Any] = {}
    nodes: dict[int, int] = {}
    done = 0
    try:
        session = _search.prepare(client, steps, flags.session)
        for record in _search.search(client, session, steps, trials=flags.trials, seed=flags.seed):
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()
            nodes[record["node"]] = nodes.get(record["node"], 0) + 1
            done += 1
        best = steps.run("best", lambda _: session.get_many("best_score", "best_trial"))
    except SnakepitError as error:
        tell({"event": "gave_up", **_search.described(error)})
        sys.stderr.write(f"{type(error).__name__}: {error}; {error.hint}\n")
    summary = {
        "event": "summary",
        "session": flags.session,
        "trials": done,
        "trials_by_node": nodes,
        "failures": steps.failures,
        "largest_gap_ms": round(steps.largest_gap_ms, 1),
        **best,
    }
    tell(summary)
    sys.stderr.write(json.dumps(summary) + "\n")
    return 0 if done == flags.trials and best else 1


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m snakepit.demo", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("--endpoints", default="", help="nodes, comma-separated; or SNAKEPIT_ENDPOINTS")
    parser.add_argument(
        "--events", default="", help="file to which steps, failures and the summary are added"
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--session", default=f"digits-{uuid.uuid4().hex[:8]}")
    parser.add_argument("--principal", default="demo")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
