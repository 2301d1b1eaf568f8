"""`StreamTelemetry`: whoever calls it gets the events of this process, and says which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit_bridge import telemetry
from snakepit_bridge.telemetry.stream import TelemetryStream


async def stream_telemetry(
    controls: AsyncIterator[pb.TelemetryControl], context: grpc.aio.ServicerContext[Any, Any]
) -> AsyncIterator[pb.TelemetryEvent]:
    """Events until the caller goes; the backend before is set again then."""
    del context
    stream = TelemetryStream()

    async def listen() -> None:
        async for control in controls:
            stream.controls.apply(control)

    listening = asyncio.create_task(listen(), name="telemetry-controls")
    before = telemetry.set_backend(stream)
    try:
        async for event in stream.events():
            yield event
    finally:
        listening.cancel()
        if telemetry.get_backend() is stream:
            telemetry.set_backend(before)
