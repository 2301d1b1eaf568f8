"""``python -m snakepit_bridge.cli``: look at an adapter, and talk to a node.

``tools pkg.mod.Class`` lists an adapter's tools, ``check pkg.mod.Class`` says whether it can be served,
``ping host:port`` asks a node.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import grpc

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto.snakepit_bridge_pb2_grpc import BridgeServiceStub
from snakepit.errors import SnakepitError
from snakepit.worker import _host
from snakepit_bridge import _calls
from snakepit_bridge.base_adapter_threaded import validate_thread_safety


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    parser = argparse.ArgumentParser(prog="snakepit_bridge.cli", description="Adapters and nodes.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (("tools", "list an adapter's tools"), ("check", "whether it can be served")):
        commands.add_parser(name, help=about).add_argument("adapter", help="pkg.mod.Class")
    commands.add_parser("ping", help="ask a node").add_argument("address", help="host:port")
    given = parser.parse_args(arguments)
    try:
        if given.command == "ping":
            answer = _ping(given.address)
        elif given.command == "tools":
            answer = json.dumps([_described(spec) for spec in _host.load(given.adapter).specs], indent=2)
        else:
            host = _host.load(given.adapter)
            safe = "thread safe" if validate_thread_safety(host.source) else "not declared thread safe"
            answer = f"{given.adapter}: {len(host.entries)} tools, {safe}"
    except SnakepitError as error:
        sys.stderr.write(f"error: {error}; {error.hint}\n")
        return 1
    sys.stdout.write(f"{answer}\n")
    return 0


def _described(spec: pb.ToolSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "description": spec.description,
        "parameters": {parameter.name: parameter.type for parameter in spec.parameters},
        "supports_streaming": spec.supports_streaming,
        "metadata": dict(spec.metadata),
    }


def _ping(address: str) -> str:
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        answer: pb.PingResponse = _calls.ask(
            BridgeServiceStub(channel), "Ping", pb.PingRequest(message="hello"), timeout_s=5.0
        )
    return answer.message


if __name__ == "__main__":
    sys.exit(main())
