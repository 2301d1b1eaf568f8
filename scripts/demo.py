"""The main job, shown: three nodes, a search over scikit-learn's digits, the leader killed in the middle.

Run by ``scripts/demo``, which sets everything up. Exit code 0 means that all of it held: every trial was
scored, no node's log differs from another's, and the replayed log gives the rows that the nodes serve.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BOLD, DIM, GREEN, RED, PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"
if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
    BOLD = DIM = GREEN = RED = PLAIN = ""

SESSION = "digits-search"
CATCH_UP_S = 30.0


def main() -> int:
    """Run the demo; 0 where everything held."""
    flags = _flags()
    folder = Path(tempfile.mkdtemp(prefix="snakepit-demo-"))
    cluster = Cluster(Path(os.environ["SNAKEPIT_BIN"]), folder, flags.base_port)
    began = time.monotonic()
    with cluster.running():
        say("three nodes are up", f"{time.monotonic() - began:.1f} s, data in {folder}")
        ok = _search(cluster, folder / "steps.jsonl", flags.trials)
        ok = _audit(cluster) and ok
    if ok and not flags.keep:
        shutil.rmtree(folder)
    else:
        say("the data is kept", str(folder))
    print(f"\n{GREEN}{BOLD}everything held{PLAIN}" if ok else f"\n{RED}{BOLD}something did not hold{PLAIN}")
    return 0 if ok else 1


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--trials", type=int, default=24, help="trials of the search (24)")
    parser.add_argument("--base-port", type=int, default=7001, help="first port of the cluster (7001)")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data")
    return parser.parse_args()


class Cluster:
    """Three nodes on this machine, driven through the command line as a person would."""

    def __init__(self, binary: Path, folder: Path, base_port: int) -> None:
        self.binary = binary
        self.folder = folder
        self.base_port = base_port
        self.endpoints = ",".join(f"127.0.0.1:{base_port + i}" for i in range(3))

    def run(self, *arguments: str) -> str:
        """Run ``snakepit`` and give its output; a failure ends the demo with what it said."""
        line = [str(self.binary), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"snakepit {' '.join(arguments)} failed:\n{done.stderr or done.stdout}")
        return done.stdout

    def status(self) -> list[dict[str, Any]]:
        """What each node says of itself."""
        return list(json.loads(self.run("cluster", "status", "--dir", str(self.folder), "-o", "json")))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Up on entry, down on leaving, whatever happened."""
        where = ["--dir", str(self.folder)]
        up = ["--nodes", "3", "--workers", "1", "--adapter", "snakepit.demo.digits", "--detach"]
        python = ["--python", sys.executable]
        self.run("cluster", "up", *where, "--base-port", str(self.base_port), *up, *python)
        try:
            yield
        finally:
            self.run("cluster", "down", *where)


def _search(cluster: Cluster, steps: Path, trials: int) -> bool:
    """The workload, with the leader killed after a third and started again after two thirds."""
    kill_at, start_at = trials // 3, 2 * trials // 3
    say("searching", f"{trials} trials; parameters and scores are typed variables of session {SESSION}")
    heading = f"{'trial':>5}  {'score':>6}  {'node':>4}  {'ms':>5}  parameters"
    print(f"{DIM}{heading}{PLAIN}")
    line = [sys.executable, "-m", "snakepit.demo", "--endpoints", cluster.endpoints, "--events", str(steps)]
    line += ["--trials", str(trials), "--session", SESSION]
    killed = 0
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        for number, text in enumerate(driver.stdout, start=1):
            trial = json.loads(text)
            _show(trial)
            if number == kill_at:
                killed = next(node["node"] for node in cluster.status() if node.get("role") == "leader")
                cluster.run("cluster", "kill", str(killed), "--dir", str(cluster.folder))
                print(f"{RED}       node {killed}, the leader, was killed with SIGKILL{PLAIN}")
            if number == start_at and killed:
                cluster.run("cluster", "start", str(killed), "--dir", str(cluster.folder))
                print(f"{GREEN}       node {killed} is started again{PLAIN}")
        said = driver.stderr.read() if driver.stderr else ""
    if driver.returncode != 0:
        print(said, file=sys.stderr)
        return False
    summary = json.loads(steps.read_text().splitlines()[-1])
    by_node = ", ".join(f"node {node}: {count}" for node, count in sorted(summary["trials_by_node"].items()))
    say("the search is done", f"best score {summary['best_score']:.4f} in trial {summary['best_trial']}")
    say(
        "who ran the trials",
        f"{by_node}; all nodes are asked in turn, and a session keeps its worker while that lives",
    )
    say("longest gap between two answers", f"{summary['largest_gap_ms']:.0f} ms, the failover included")
    return bool(summary["trials"] == trials)


def _show(trial: dict[str, Any]) -> None:
    parameters = " ".join(f"{name}={_short(value)}" for name, value in trial["params"].items())
    numbers = f"{trial['trial']:>5}  {trial['score']:.4f}  {trial['node']:>4}  {trial['ms']:>5.0f}"
    print(f"{numbers}  {DIM}{parameters}{PLAIN}")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _audit(cluster: Cluster) -> bool:
    """Wait until all nodes are equal, then fold every node's log again and compare."""
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        nodes = cluster.status()
        heads = {node.get("chain_head") for node in nodes}
        if len(heads) == 1 and None not in heads:
            break
        if time.monotonic() > deadline:
            print(f"{RED}the nodes have different logs after {CATCH_UP_S:.0f} s: {heads}{PLAIN}")
            return False
        time.sleep(0.1)
    position = int(nodes[0]["position"])
    say("all nodes have caught up", f"{position} events, chain head {str(heads.pop())[:16]}…")
    say("replaying and verifying the log of each node")
    print(cluster.run("log", "verify", "--endpoints", cluster.endpoints).rstrip())
    say("the last changes, with their authors")
    print(
        cluster.run("log", "replay", "--endpoints", cluster.endpoints, "--from", str(position - 5)).rstrip()
    )
    return True


def say(what: str, detail: str = "") -> None:
    """One line of the account."""
    print(f"{BOLD}▸ {what}{PLAIN}{f'  {detail}' if detail else ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
