"""A node that is just enough of one: the worker's stream, driven by hand, and state in a dictionary."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, BinaryIO

import grpc

from snakepit import _values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto import worker_v1_pb2 as wire
from tests.fake_bridge import FakeBridge

WAIT_S = 10.0


class Link:
    """One worker's connection, from the node's side."""

    def __init__(self, hello: wire.Hello) -> None:
        self.hello = hello
        self.sent: queue.SimpleQueue[wire.ToWorker | None] = queue.SimpleQueue()
        self.results: dict[int, wire.Result] = {}
        self.chunks: dict[int, list[wire.Chunk]] = {}
        self.messages: list[wire.FromWorker] = []
        self.events: list[pb.TelemetryEvent] = []
        self.dropped = 0
        self.heartbeats = 0
        self.goodbye = False
        self.ended = False
        self.changed = threading.Condition()
        self._sequence = 0

    def send(self, message: wire.ToWorker) -> None:
        self.sent.put(message)

    def hang_up(self) -> None:
        """End the stream as a node does that wants no more of it."""
        self.sent.put(None)

    def telemetry(self, **control: Any) -> None:
        self.send(wire.ToWorker(telemetry=pb.TelemetryControl(**control)))

    def go_on_from(self, before: Link) -> None:
        """Number calls on where the link before this one stopped."""
        self._sequence = before._sequence

    def call(
        self, tool: str, /, *, stream: bool = False, deadline_ms: int = 0, session: str = "", **arguments: Any
    ) -> int:
        return self.call_many([(tool, arguments)], stream=stream, deadline_ms=deadline_ms, session=session)[0]

    def call_many(
        self,
        calls: list[tuple[str, dict[str, Any]]],
        *,
        stream: bool = False,
        deadline_ms: int = 0,
        session: str = "",
        metadata: dict[str, str] | None = None,
    ) -> list[int]:
        """One message with all calls; returns their sequences."""
        message = wire.Calls()
        for tool, arguments in calls:
            self._sequence += 1
            call = message.calls.add(
                sequence=self._sequence,
                call_id=f"c{self._sequence}",
                tool=tool,
                stream=stream,
                deadline_ms=deadline_ms,
                session_id=session,
                call_token=f"token-{self._sequence}",
                metadata=metadata,
            )
            for name, value in arguments.items():
                encoded, payload = _values.encode(value)
                call.parameters[name].CopyFrom(encoded)
                if payload is not None:
                    call.binary_parameters[name] = payload
        self.send(wire.ToWorker(calls=message))
        return [call.sequence for call in message.calls]

    def cancel(self, *sequences: int) -> None:
        self.send(wire.ToWorker(cancel=wire.Cancel(sequences=sequences, reason="not wanted")))

    def wait(self, condition: Callable[[], Any], seconds: float = WAIT_S) -> bool:
        with self.changed:
            return bool(self.changed.wait_for(condition, seconds))

    def result(self, sequence: int) -> wire.Result:
        assert self.wait(lambda: sequence in self.results), f"no result for {sequence}"
        return self.results[sequence]

    def value(self, sequence: int) -> Any:
        result = self.result(sequence)
        assert result.success, result.error
        return _values.decode(result.value, result.binary_value or None)

    def error(self, sequence: int) -> pb.ToolError:
        result = self.result(sequence)
        assert not result.success
        return result.error

    def ask(self, tool: str, /, **arguments: Any) -> Any:
        return self.value(self.call(tool, **arguments))

    def take(self, message: wire.FromWorker) -> None:
        with self.changed:
            self.messages.append(message)
            for result in message.results.results:
                assert result.sequence not in self.results
                self.results[result.sequence] = result
            for chunk in message.results.chunks:
                self.chunks.setdefault(chunk.sequence, []).append(chunk)
            self.events += message.telemetry.events
            self.dropped = max(self.dropped, message.telemetry.dropped)
            self.heartbeats += message.HasField("heartbeat")
            self.goodbye = self.goodbye or message.HasField("goodbye")
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        self.sent.put(None)


class FakeNode:
    """A node's two sockets, for frames and for gRPC, and the worker processes that it started."""

    def __init__(self, *, chunk_credits: int = 4, message_bytes_max: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sp")
        self.socket = f"{self._folder.name}/s"
        self.frames = f"{self._folder.name}/f"
        self._connections: list[socket.socket] = []
        self.bridge = FakeBridge()
        self.links: queue.SimpleQueue[Link] = queue.SimpleQueue()
        self.workers: list[subprocess.Popen[bytes]] = []
        self._welcome = wire.Welcome(
            node_id=7,
            pool="test",
            heartbeat_interval_ms=50,
            chunk_credits=chunk_credits,
            message_bytes_max=message_bytes_max,
        )
        self.token = "secret"
        self.stderr: Any = subprocess.PIPE
        self.python = sys.executable
        self.listen()

    def listen(self) -> None:
        """Serve the sockets."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.frames)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._server = grpc.server(futures.ThreadPoolExecutor(64))
        connect = grpc.stream_stream_rpc_method_handler(
            self._connect,
            request_deserializer=wire.FromWorker.FromString,
            response_serializer=wire.ToWorker.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "snakepit.worker.v1.WorkerService", {"Connect": connect}
                ),
                self.bridge.handlers(),
            )
        )
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def _connect(
        self, incoming: Iterator[wire.FromWorker], context: grpc.ServicerContext
    ) -> Iterator[wire.ToWorker]:
        link = Link(next(incoming).hello)
        if link.hello.token != self.token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")

        def read() -> None:
            try:
                for message in incoming:
                    link.take(message)
            except grpc.RpcError:
                pass
            finally:
                link.end()

        threading.Thread(target=read, daemon=True).start()
        yield wire.ToWorker(welcome=self._welcome)
        self.links.put(link)
        while (message := link.sent.get()) is not None:
            yield message

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, connection: socket.socket) -> None:
        """The same as `_connect`, in frames."""
        incoming = _frames(connection)
        link = Link(next(incoming).hello)
        if link.hello.token != self.token:
            refusal = wire.Refusal(code=grpc.StatusCode.UNAUTHENTICATED.value[0], message="wrong token")
            _send(connection, wire.ToWorker(refusal=refusal))
            connection.close()
            return

        def read() -> None:
            for message in incoming:
                link.take(message)
            link.end()

        threading.Thread(target=read, daemon=True).start()
        _send(connection, wire.ToWorker(welcome=self._welcome))
        self.links.put(link)
        with contextlib.suppress(OSError):
            while (message := link.sent.get()) is not None:
                _send(connection, message)
        _hang_up(connection)

    def stop_listening(self) -> None:
        """Break all streams, and let nobody in."""
        _hang_up(self._listener)
        for connection in self._connections:
            _hang_up(connection)
        self._connections.clear()
        Path(self.frames).unlink(missing_ok=True)
        self._server.stop(None).wait()
        Path(self.socket).unlink(missing_ok=True)

    def environment(self, adapter: str, **settings: str) -> dict[str, str]:
        return os.environ | {
            "SNAKEPIT_WORKER_SOCKET": self.socket,
            "SNAKEPIT_WORKER_FRAMES": self.frames,
            "SNAKEPIT_WORKER_ID": "w1",
            "SNAKEPIT_WORKER_TOKEN": "secret",
            "SNAKEPIT_WORKER_ADAPTER": adapter,
            "SNAKEPIT_NODE_PID": str(os.getpid()),
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "PYTHONWARNINGS": "error",
            **settings,
        }

    def spawn(self, adapter: str = "tests.tools", **settings: str) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [self.python, "-m", "snakepit.worker"],
            env=self.environment(adapter, **settings),
            stdout=subprocess.PIPE,
            stderr=self.stderr,
        )
        self.workers.append(worker)
        return worker

    def start(self, adapter: str = "tests.tools", **settings: str) -> tuple[Link, subprocess.Popen[bytes]]:
        worker = self.spawn(adapter, **settings)
        try:
            return self.links.get(timeout=WAIT_S), worker
        except queue.Empty:
            worker.kill()
            raise AssertionError(f"the worker did not connect: {worker.communicate()[1].decode()}") from None

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.communicate()
        self.stop_listening()
        self._server.stop(None).wait()
        self._folder.cleanup()


def _frames(connection: socket.socket) -> Iterator[wire.FromWorker]:
    with connection.makefile("rb") as stream:
        while len(head := _read(stream, 4)) == 4:
            yield wire.FromWorker.FromString(_read(stream, int.from_bytes(head, "big")))


def _read(stream: BinaryIO, length: int) -> bytes:
    try:
        return stream.read(length)
    except OSError:
        return b""


def _send(connection: socket.socket, message: wire.ToWorker) -> None:
    data = message.SerializeToString()
    connection.sendall(len(data).to_bytes(4, "big") + data)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs, with any of its threads; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" or int(fields[17]) > 1


def gone_within(pid: int, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def terminate(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGTERM)
