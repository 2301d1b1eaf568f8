"""The server, from bind to goodbye."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any, Final

import grpc
import grpc.aio

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.errors import Invalid
from snakepit_bridge._server import ready
from snakepit_bridge._server.engine import MESSAGE_BYTES_MAX, Engine
from snakepit_bridge._server.flags import Flags
from snakepit_bridge._server.proxy import SERVICE, Proxy
from snakepit_bridge._server.telemetry_call import stream_telemetry
from snakepit_bridge._server.tools import Tools
from snakepit_bridge.base_adapter_threaded import validate_thread_safety
from snakepit_bridge.logging_config import get_logger

logger: Final = get_logger("grpc_server")
GRACE_S: Final = 2.0
_WATCH_S: Final = 1.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
)


async def serve(flags: Flags) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the parent process. Raises Invalid where it cannot."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    engine = Engine(
        flags.adapter,
        address=flags.address,
        slots=flags.slots,
        thread_sensitive=os.environ.get("SNAKEPIT_THREAD_SENSITIVE", "").lower() in ("1", "true", "yes"),
    )
    if flags.needs_thread_safety and not validate_thread_safety(engine.host.source):
        raise Invalid(f"{flags.adapter} does not declare __thread_safe__ = True")
    await engine.start()
    channel = None
    if flags.address:
        channel = grpc.aio.insecure_channel(flags.address, options=(*_OPTIONS, ("grpc.enable_http_proxy", 0)))
    proxy = Proxy(channel, flags.heartbeat)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((_handlers(Tools(engine), proxy),))
    try:
        port = server.add_insecure_port(f"{flags.host}:{flags.port}")
    except RuntimeError as error:
        raise Invalid(f"cannot serve on {flags.host}:{flags.port}: {error}") from error
    await server.start()
    _watch_parent(loop, stopped)
    ready.tell(port, flags.ready_file)
    logger.info("serving %s on port %d", flags.adapter, port)
    await stopped.wait()
    proxy.stop()
    await server.stop(GRACE_S)
    await engine.stop(GRACE_S)
    if channel is not None:
        await channel.close()


def _handlers(tools: Tools, proxy: Proxy) -> grpc.GenericRpcHandler:
    own: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Ping": grpc.unary_unary_rpc_method_handler(
            tools.ping,
            request_deserializer=pb.PingRequest.FromString,
            response_serializer=pb.PingResponse.SerializeToString,
        ),
        "ExecuteTool": grpc.unary_unary_rpc_method_handler(
            tools.execute,
            request_deserializer=pb.ExecuteToolRequest.FromString,
            response_serializer=pb.ExecuteToolResponse.SerializeToString,
        ),
        "ExecuteStreamingTool": grpc.unary_stream_rpc_method_handler(
            tools.stream,
            request_deserializer=pb.ExecuteToolRequest.FromString,
            response_serializer=pb.ToolChunk.SerializeToString,
        ),
        "StreamTelemetry": grpc.stream_stream_rpc_method_handler(
            stream_telemetry,
            request_deserializer=pb.TelemetryControl.FromString,
            response_serializer=pb.TelemetryEvent.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, {**own, **proxy.handlers(frozenset(own))})


def _watch_parent(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """End with the process that started this one, where there is one to watch."""
    parent = os.getppid()
    if parent == 1:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        loop.call_soon_threadsafe(stopped.set)
        # A tool that does not end must not keep the process.
        time.sleep(3 * GRACE_S)
        os._exit(3)

    threading.Thread(target=watch, name="snakepit-watchdog", daemon=True).start()
