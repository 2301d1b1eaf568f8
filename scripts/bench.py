"""Three nodes of snakepit against three of etcd: the same client, the same disk, one system at a time.

Run by ``scripts/bench``, which sets everything up. See docs/benchmarks.md for what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ETCD = shutil.which("etcd") or "etcd"
ETCDCTL = shutil.which("etcdctl") or "etcdctl"
READY_S = 60.0
SYNC_LOOPS = 300


class System(Protocol):
    """Three nodes that can be launched, loaded and killed."""

    name: str

    def start(self, folder: Path) -> None:
        """Launch three nodes with their data in an empty folder; return once they serve."""

    def stop(self) -> None:
        """End all of them."""

    def pids(self) -> list[int]:
        """Their processes."""

    def load(self, op: str, clients: int, flags: argparse.Namespace) -> dict[str, Any]:
        """One cell of the table."""

    def failover(self, rounds: int) -> dict[str, Any]:
        """Kill the leader so many times."""


class _Snakepit:
    """A local cluster with default settings."""

    name = "snakepit"

    def __init__(self, binary: Path, base_port: int, workers: int = 0) -> None:
        self.binary, self.base_port, self.workers = binary, base_port, workers
        self.folder = Path()
        self.endpoints = f"127.0.0.1:{base_port},{base_port + 1},{base_port + 2}"

    def start(self, folder: Path) -> None:
        self.folder = folder
        _ask(
            [
                *(self.binary, "cluster", "up", "--detach", "--dir", folder),
                *("--base-port", self.base_port, "--workers", self.workers),
                *(("--python", os.environ["SNAKEPIT_PYTHON"]) if self.workers else ()),
            ]
        )

    def stop(self) -> None:
        _ask([self.binary, "cluster", "down", "--dir", self.folder])

    def pids(self) -> list[int]:
        record = json.loads((self.folder / "cluster.json").read_text())
        return [node["process"]["pid"] for node in record["nodes"] if node["process"]]

    def load(self, op: str, clients: int, flags: argparse.Namespace) -> dict[str, Any]:
        told = _ask(
            [
                *(self.binary, "bench", "-o", "json", "--endpoints", self.endpoints, "--op", op),
                *("--clients", clients, "--value-bytes", flags.value_bytes),
                *("--duration", f"{flags.duration}s", "--warmup", f"{flags.warmup}s"),
            ]
        )
        return dict(json.loads(told)[0])

    def failover(self, rounds: int) -> dict[str, Any]:
        line = ["bench", "-o", "json", "--op", "failover", "--dir", self.folder, "--rounds", rounds]
        return dict(json.loads(_ask([self.binary, *line])))


class _Etcd:
    """Members with default settings."""

    name = "etcd"

    def __init__(self, load: Path, base_port: int) -> None:
        self.binary, self.folder = load, Path()
        self.clients = [f"127.0.0.1:{base_port + number}" for number in range(3)]
        self.peers = [f"127.0.0.1:{base_port + 100 + number}" for number in range(3)]

    def start(self, folder: Path) -> None:
        self.folder = folder
        for number in (1, 2, 3):
            self._member(number)
        for number in (1, 2, 3):
            subprocess.Popen([folder / f"node-{number}" / "start"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_S
        line = [ETCDCTL, "--endpoints", ",".join(self.clients), "endpoint", "health"]
        env = os.environ | {"ETCDCTL_API": "3"}
        while subprocess.run(line, env=env, capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"error: etcd is not ready\nhint: look into {folder}/node-1/log")
            time.sleep(0.1)

    def _member(self, number: int) -> None:
        folder = self.folder / f"node-{number}"
        folder.mkdir(parents=True)
        client, peer = self.clients[number - 1], self.peers[number - 1]
        members = ",".join(f"node-{i}=http://{at}" for i, at in enumerate(self.peers, 1))
        line = [
            *(ETCD, "--name", f"node-{number}", "--data-dir", str(folder / "data")),
            *("--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"),
            *("--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}"),
            *("--initial-cluster", members, "--initial-cluster-token", "bench"),
        ]
        start = folder / "start"
        start.write_text(f'#!/bin/sh\ncd "$(dirname "$0")"\necho $$ >pid\nexec {" ".join(line)} >>log 2>&1\n')
        start.chmod(0o755)

    def stop(self) -> None:
        for pid in self.pids():
            _signal_if_there(pid, 15)
        deadline = time.monotonic() + 10.0
        while any(map(_is_running, self.pids())):
            if time.monotonic() > deadline:
                for pid in self.pids():
                    _signal_if_there(pid, 9)
            time.sleep(0.05)

    def pids(self) -> list[int]:
        return [int(path.read_text()) for path in sorted(self.folder.glob("node-*/pid"))]

    def load(self, op: str, clients: int, flags: argparse.Namespace) -> dict[str, Any]:
        told = _ask(
            [
                *(self.binary, "load", "--endpoints", ",".join(self.clients), "--op", op),
                *("--clients", clients, "--value-bytes", flags.value_bytes),
                *("--duration", flags.duration, "--warmup", flags.warmup),
            ]
        )
        return dict(json.loads(told)[0])

    def failover(self, rounds: int) -> dict[str, Any]:
        line = ["failover", "--dir", self.folder, "--endpoints", ",".join(self.clients), "--rounds", rounds]
        return dict(json.loads(_ask([self.binary, *line])))


@dataclass
class Results:
    """All runs; written after each, so that a run that is stopped leaves what it has."""

    folder: Path
    machine: dict[str, Any]
    flags: dict[str, Any]
    runs: list[dict[str, Any]] = field(default_factory=list)

    def add(self, run: dict[str, Any]) -> None:
        """Keep a run, and write all."""
        self.runs.append(run)
        content = {"machine": self.machine, "flags": self.flags, "runs": self.runs}
        (self.folder / "results.json").write_text(json.dumps(content, indent=2) + "\n")

    def of(self, system: str, op: str, clients: int) -> list[dict[str, Any]]:
        """All rounds of a cell."""
        return [
            run["result"]
            for run in self.runs
            if (run["system"], run["op"], run["clients"]) == (system, op, clients)
        ]


def main() -> int:
    """Measure and print; 0 where nothing failed."""
    flags = _read_flags()
    folder = flags.results / time.strftime("%Y-%m-%dT%H-%M-%S")
    folder.mkdir(parents=True)
    binary = Path(os.environ["SNAKEPIT_BIN"])
    systems: list[System] = [
        _Snakepit(binary, flags.base_port),
        _Etcd(Path(os.environ["SNAKEPIT_ETCD_BENCH"]), flags.base_port + 500),
    ]
    systems = [system for system in systems if system.name in flags.systems]
    shown = {name: str(value) for name, value in vars(flags).items()}
    results = Results(folder, _machine(folder, binary), shown)
    _say(json.dumps(results.machine, indent=2))
    for number in range(flags.rounds):
        for op in flags.ops:
            for clients in flags.clients:
                for system in _turn(systems, number):
                    with _running(system, folder, flags.keep):
                        results.add(_cell(system, number, op, clients, flags))
    if "call" in flags.extra:
        pools = _Snakepit(binary, flags.base_port, workers=1)
        for clients in flags.clients:
            with _running(pools, folder, flags.keep):
                results.add(_cell(pools, 0, "call", clients, flags))
    if "failover" in flags.extra:
        for system in systems:
            with _running(system, folder, flags.keep):
                outcome = system.failover(flags.failover_rounds)
                _say(f"{system.name}: failover, median {outcome['median_ms']} ms")
                results.add({"system": system.name, "op": "failover", "clients": 1, "result": outcome})
    text = _report(results, flags)
    (folder / "table.md").write_text(text)
    print(text)
    _say(f"results: {folder}")
    return 0


def _read_flags() -> argparse.Namespace:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="times that each cell is measured (3)")
    parser.add_argument("--duration", type=int, default=10, help="seconds measured in each (10)")
    parser.add_argument("--warmup", type=int, default=2, help="seconds before that (2)")
    parser.add_argument(
        "--ops", default=["set", "get"], help="operations (set,get)", type=_words, metavar="A,B"
    )
    parser.add_argument("--clients", default="1,64,256", help="numbers of clients (1,64,256)", metavar="N,N")
    parser.add_argument("--value-bytes", type=int, default=256, help="size of a value (256)")
    parser.add_argument(
        "--systems", default=["snakepit", "etcd"], help="systems (snakepit,etcd)", type=_words, metavar="A,B"
    )
    parser.add_argument(
        "--extra",
        default=["call", "failover"],
        help="what else (call,failover); none",
        type=_words,
        metavar="A,B",
    )
    parser.add_argument("--failover-rounds", type=int, default=7, help="leaders killed (7)")
    parser.add_argument("--base-port", type=int, default=7301, help="first port that is used (7301)")
    parser.add_argument(
        "--results", type=Path, default=state / "snakepit/bench", help="where results and data go"
    )
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data and logs")
    flags = parser.parse_args()
    flags.clients = [int(text) for text in flags.clients.split(",")]
    return flags


def _words(text: str) -> list[str]:
    return text.split(",")


def _turn(systems: list[System], number: int) -> list[System]:
    """Who goes first changes from round to round."""
    return systems if number % 2 == 0 else systems[::-1]


@contextmanager
def _running(system: System, folder: Path, keep: bool) -> Iterator[None]:
    """Fresh nodes, and nothing left of them."""
    data = folder / "data" / f"{system.name}-{time.monotonic_ns()}"
    data.mkdir(parents=True)
    try:
        system.start(data)
        yield
    finally:
        system.stop()
        if not keep:
            shutil.rmtree(data)


def _cell(system: System, number: int, op: str, clients: int, flags: argparse.Namespace) -> dict[str, Any]:
    pids = system.pids()
    began, busy, own = time.monotonic(), _busy_s(), _own_s(pids)
    result = system.load(op, clients, flags)
    elapsed = time.monotonic() - began
    foreign = max(0.0, (_busy_s() - busy) - (_own_s(pids) - own)) / elapsed
    run = {
        "system": system.name,
        "round": number + 1,
        "op": op,
        "clients": clients,
        "others_cores": round(foreign, 2),
        "result": result,
    }
    rate, latency = result["operations_per_s"], result["latency_us"]
    _say(
        f"{system.name:8} round {number + 1} {op} {clients:3} clients: {rate:8.0f}/s,"
        f" p50 {latency['p50'] / 1000:.2f} ms, p99 {latency['p99'] / 1000:.2f} ms,"
        f" others used {foreign:.2f} cores, errors {result['errors'] or 'none'}"
    )
    return run


def _report(results: Results, flags: argparse.Namespace) -> str:
    """Medians over the rounds, as a Markdown table."""
    lines = [
        "| op | clients | snakepit op/s | etcd op/s | ratio | snakepit p50, p99 | etcd p50, p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for op in flags.ops:
        for clients in flags.clients:
            ours, theirs = results.of("snakepit", op, clients), results.of("etcd", op, clients)
            ratio = f"{_rate(ours) / _rate(theirs):.2f}" if ours and theirs else "-"
            lines.append(
                f"| {op} | {clients} | {_rate(ours):,.0f} | {_rate(theirs):,.0f} | {ratio} "
                f"| {_times(ours)} | {_times(theirs)} |"
            )
    calls = ((clients, results.of("snakepit", "call", clients)) for clients in flags.clients)
    lines += [f"| call | {n} | {_rate(of):,.0f} | - | - | {_times(of)} | - |" for n, of in calls if of]
    for run in results.runs:
        if run["op"] == "failover":
            rounds = ", ".join(str(one["outage_ms"]) for one in run["result"]["rounds"])
            lines.append(f"\nfailover, {run['system']}: median {run['result']['median_ms']} ms ({rounds})")
    worst = max((run.get("others_cores", 0.0) for run in results.runs), default=0.0)
    lines.append(f"\nOther processes used up to {worst:.2f} cores while a cell was measured.")
    return "\n".join(lines) + "\n"


def _rate(results: list[dict[str, Any]]) -> float:
    return statistics.median(one["operations_per_s"] for one in results) if results else 0.0


def _times(results: list[dict[str, Any]]) -> str:
    if not results:
        return "-"
    at = [statistics.median(one["latency_us"][name] for one in results) / 1000 for name in ("p50", "p99")]
    return f"{at[0]:.2f}, {at[1]:.2f} ms"


def _machine(folder: Path, binary: Path) -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "cpu": cpu[0].partition(": ")[2] if cpu else platform.machine(),
        "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(),
        "fdatasync_us": _sync_us(folder),
        "snakepit": _ask([binary, "--version"]).strip(),
        "etcd": _ask([ETCD, "--version"]).splitlines()[0],
        "load_before": os.getloadavg()[0],
    }


def _sync_us(folder: Path) -> dict[str, float]:
    """How long this disk takes to make 4 KiB durable that are appended to a file."""
    path, took = folder / "sync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNC_LOOPS):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    path.unlink()
    took.sort()
    return {"p50": round(took[len(took) // 2]), "p99": round(took[len(took) * 99 // 100])}


def _busy_s() -> float:
    """Seconds that all cores together have been busy since boot."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_s(pids: list[int]) -> float:
    """Seconds of processor time that the nodes and this program's children have used."""
    used = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used + children.ru_utime + children.ru_stime


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _signal_if_there(pid: int, number: int) -> None:
    if _is_running(pid):
        os.kill(pid, number)


def _ask(line: list[Any]) -> str:
    words = [str(word) for word in line]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, line[:3]))} failed\n{done.stderr.strip()}")
    return done.stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
