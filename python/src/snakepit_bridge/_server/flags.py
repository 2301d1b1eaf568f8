"""What the command line and the environment say: the flags of all versions, unknown ones ignored."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from snakepit_bridge.heartbeat import HeartbeatConfig

ADAPTER_DEFAULT: Final = "snakepit_bridge.adapters.showcase.ShowcaseAdapter"
SLOTS_DEFAULT: Final = 10


@dataclass(frozen=True)
class Flags:
    """The settings of a server. `port` 0: any that is free."""

    adapter: str
    host: str
    port: int
    address: str
    slots: int
    needs_thread_safety: bool
    heartbeat: HeartbeatConfig
    health_check: bool
    ready_file: str


def parse(arguments: Sequence[str] | None = None) -> Flags:
    """The flags of this process; ends it where one has no fitting value."""
    parser = argparse.ArgumentParser(
        prog="grpc_server.py", description="Serve an adapter over gRPC.", allow_abbrev=False
    )
    parser.add_argument("--adapter", default=ADAPTER_DEFAULT, help="pkg.mod.Class")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--elixir-address", default="", help="host:port of whoever keeps the sessions")
    parser.add_argument("--max-workers", type=int, default=SLOTS_DEFAULT, help="calls that run at once")
    parser.add_argument("--thread-safety-check", action="store_true")
    parser.add_argument("--health-check", action="store_true", help="import the adapter, and end")
    parser.add_argument("--heartbeat-enabled", action="store_true")
    for name in ("interval-ms", "timeout-ms", "max-missed", "initial-delay-ms"):
        parser.add_argument(f"--heartbeat-{name}", type=int)
    parser.add_argument("--heartbeat-dependent", dest="dependent", action="store_true", default=None)
    parser.add_argument("--heartbeat-independent", dest="dependent", action="store_false", default=None)
    given, _ignored = parser.parse_known_args(arguments)
    address = given.elixir_address or os.environ.get("SNAKEPIT_GRPC_ADDRESS", "")
    return Flags(
        adapter=given.adapter,
        host=given.host,
        port=given.port,
        address=address or os.environ.get("SNAKEPIT_ELIXIR_ADDRESS", ""),
        slots=max(1, given.max_workers),
        needs_thread_safety=given.thread_safety_check,
        heartbeat=_heartbeat(given),
        health_check=given.health_check,
        ready_file=os.environ.get("SNAKEPIT_READY_FILE", ""),
    )


def _heartbeat(given: argparse.Namespace) -> HeartbeatConfig:
    """Flags go before the environment; off unless one of them asks for it."""
    base = HeartbeatConfig.from_environment()
    values = {
        "enabled": given.heartbeat_enabled or ("SNAKEPIT_HEARTBEAT_CONFIG" in os.environ and base.enabled),
        "interval_ms": given.heartbeat_interval_ms,
        "timeout_ms": given.heartbeat_timeout_ms,
        "max_missed_heartbeats": given.heartbeat_max_missed,
        "initial_delay_ms": given.heartbeat_initial_delay_ms,
        "dependent": given.dependent,
    }
    known = {name: value for name, value in values.items() if value is not None}
    return HeartbeatConfig(**{**vars(base), **known})
