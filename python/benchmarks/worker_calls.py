"""Calls a second through one worker: ``python benchmarks/worker_calls.py [--batch 8] [--seconds 3]``.

The node is a stand-in in this process; the worker is a real one, with one slot and a trivial tool.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator

import grpc.aio

from snakepit import _values
from snakepit._proto import worker_v1_pb2 as wire


class Node:
    """Keeps `outstanding` calls at the worker, in messages of `batch`."""

    def __init__(self, batch: int, outstanding: int, seconds: float, tool: str) -> None:
        self.batch, self.outstanding, self.seconds, self.tool = batch, outstanding, seconds, tool
        self.done = self.messages = 0
        self.took = 0.0
        self.finished = asyncio.Event()

    async def connect(
        self, incoming: AsyncIterator[wire.FromWorker], context: grpc.aio.ServicerContext[object, object]
    ) -> None:
        """Serve the worker's stream."""
        parameter, _ = _values.encode({"n": 1})
        await incoming.__anext__()
        await context.write(wire.ToWorker(welcome=wire.Welcome(node_id=1, heartbeat_interval_ms=1000)))
        sequence, answered = 0, 0
        began = time.perf_counter()
        while time.perf_counter() - began < self.seconds:
            while self.outstanding - (sequence - answered) >= self.batch:
                calls = wire.Calls()
                for _ in range(self.batch):
                    sequence += 1
                    call = calls.calls.add(
                        sequence=sequence, tool=self.tool, deadline_ms=30_000, call_token="t"
                    )
                    call.parameters["value"].CopyFrom(parameter)
                await context.write(wire.ToWorker(calls=calls))
            message = await incoming.__anext__()
            assert all(result.success for result in message.results.results), message
            answered += len(message.results.results)
            self.messages += 1
        self.took = time.perf_counter() - began
        self.done = answered
        self.finished.set()


async def measure(batch: int, outstanding: int, seconds: float, tool: str) -> None:
    """Run one measurement and print it."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(batch, outstanding, seconds, tool)
        server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            node.connect,
            request_deserializer=wire.FromWorker.FromString,
            response_serializer=wire.ToWorker.SerializeToString,
        )
        service = grpc.method_handlers_generic_handler(
            "snakepit.worker.v1.WorkerService", {"Connect": handler}
        )
        server.add_generic_rpc_handlers((service,))
        server.add_insecure_port(f"unix:{folder}/s")
        await server.start()
        environment = os.environ | {
            "SNAKEPIT_WORKER_SOCKET": f"{folder}/s",
            "SNAKEPIT_WORKER_ID": "bench",
            "SNAKEPIT_WORKER_CREDITS": str(outstanding),
            "SNAKEPIT_LOG_LEVEL": "error",
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "snakepit.worker", "--adapter", "snakepit.demo.showcase", env=environment
        )
        await node.finished.wait()
        worker.kill()
        await worker.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        await server.stop(None)
        sys.stdout.write(
            f"{node.done / node.took:,.0f} calls/s: {batch} a message, {outstanding} outstanding, "
            f"{node.done / node.messages:.1f} results a message, tool {tool}; the worker used "
            f"{(used.ru_utime + used.ru_stime) / node.done * 1e6:.0f} us of CPU a call, start included\n"
        )


def main() -> None:
    """Parse the flags and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--outstanding", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--tool", default="echo")
    flags = parser.parse_args()
    asyncio.run(measure(flags.batch, flags.outstanding, flags.seconds, flags.tool))


if __name__ == "__main__":
    main()
