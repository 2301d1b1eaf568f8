"""All runs, and their medians as Markdown tables."""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_lib.cells import Cell, state_cells

# Beyond so many cores that others used, a run is no basis for a comparison.
OTHERS_CORES_MAX = 0.1


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

    def of(self, system: str, cell: Cell) -> list[dict[str, Any]]:
        """All rounds of a cell."""
        return [run["result"] for run in self._runs(system, cell)]

    def others(self, system: str, cell: Cell) -> float:
        """Cores that others used, in the worst round of a cell."""
        return max(float(run["others_cores"]) for run in self._runs(system, cell))

    def _runs(self, system: str, cell: Cell) -> list[dict[str, Any]]:
        wanted = {"system": system, **cell._asdict()}
        return [run for run in self.runs if run.items() >= wanted.items()]


def report(results: Results, flags: argparse.Namespace) -> str:
    """Medians over the rounds: state, calls, and the rest line by line."""
    lines = _state(results, flags) if flags.state and flags.ops else []
    if any(run["op"] == "call" for run in results.runs):
        lines += _calls(results)
    for run in results.runs:
        if run["op"] == "failover":
            rounds = ", ".join(str(one["outage_ms"]) for one in run["result"]["rounds"])
            lines.append(f"\nfailover, {run['system']}: median {run['result']['median_ms']} ms ({rounds})")
        elif "unit" in run["result"]:
            result = run["result"]
            rounds = ", ".join(f"{value:,.0f}" for value in result["rounds"])
            lines.append(f"\n{run['op']}: median {result['median']:,.0f} {result['unit']} ({rounds})")
    worst = max((run.get("others_cores", 0.0) for run in results.runs), default=0.0)
    lines.append(f"\nOther processes used up to {worst:.2f} cores while a cell was measured.")
    if worst > OTHERS_CORES_MAX:
        lines.append("**The machine was busy: do not compare systems by this run.**")
    return "\n".join(lines) + "\n"


def _state(results: Results, flags: argparse.Namespace) -> list[str]:
    lines = [
        "| op | clients | asked | snakepit op/s | etcd op/s | ratio | snakepit p50, p99 | etcd p50, p99 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in state_cells(flags):
        ours, theirs = results.of("snakepit", cell), results.of("etcd", cell)
        ratio = f"{_rate(ours) / _rate(theirs):.2f}" if ours and theirs else "-"
        rates = f"{_rate(ours):,.0f} | {_rate(theirs):,.0f} | {ratio}"
        lines.append(f"| {' | '.join(map(str, cell))} | {rates} | {_times(ours)} | {_times(theirs)} |")
    return lines


def _calls(results: Results) -> list[str]:
    """Each system beside Snakepit's three nodes: how many times as many calls those do."""
    runs = [run for run in results.runs if run["op"] == "call"]
    lines = [
        "",
        "| callers | system | calls/s | snakepit does | p50 | p90 | p99 | errors | others' cores |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for clients, system in sorted({(run["clients"], run["system"]): None for run in runs}, key=_first):
        cell = Cell("call", clients)
        ours, of = results.of("snakepit", cell), results.of(system, cell)
        times = f"{_rate(ours) / _rate(of):.2f} x" if ours and _rate(of) else "-"
        p50, p90, p99 = (f"{_ms(of, name):.2f} ms" for name in ("p50", "p90", "p99"))
        errors = sum(sum(one["errors"].values()) for one in of)
        others = f"{results.others(system, cell):.2f}"
        cells = [clients, system, f"{_rate(of):,.0f}", times, p50, p90, p99, errors, others]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _first(row: tuple[int, str]) -> int:
    return row[0]


def _rate(results: list[dict[str, Any]]) -> float:
    return statistics.median(one["operations_per_s"] for one in results) if results else 0.0


def _ms(results: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(one["latency_us"][name] for one in results)) / 1000


def _times(results: list[dict[str, Any]]) -> str:
    return f"{_ms(results, 'p50'):.2f}, {_ms(results, 'p99'):.2f} ms" if results else "-"
