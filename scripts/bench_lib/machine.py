"""What the numbers depend on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

SYNC_LOOPS = 300


def facts(folder: Path, versions: dict[str, str]) -> dict[str, Any]:
    """The machine, its disk, and which programs are measured."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "cpu": cpu[0].partition(": ")[2] if cpu else platform.machine(),
        "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(),
        "fdatasync_us": _sync_us(folder),
        **versions,
        "load_before": os.getloadavg()[0],
    }


def busy_s() -> float:
    """Seconds that all cores together have been busy since boot."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


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
