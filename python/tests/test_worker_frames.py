from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from snakepit._proto.worker_v1_pb2 import FromWorker, Goodbye, Refusal, ToWorker, Welcome
from snakepit.worker._frames import FrameStream

LIMIT = 64 * 1024
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def framed(message: ToWorker | FromWorker) -> bytes:
    data = message.SerializeToString()
    return len(data).to_bytes(4, "big") + data


WELCOME = ToWorker(welcome=Welcome(node_id=7, pool="p"))


@asynccontextmanager
async def node(path: Path, serve: Serve) -> AsyncIterator[FrameStream]:
    server = await asyncio.start_unix_server(serve, path)
    stream = FrameStream(LIMIT)
    try:
        await stream.connect(str(path))
        yield stream
    finally:
        stream.close()
        server.close()
        # What the server has of the connection ends a turn later.
        await asyncio.sleep(0.05)


def run(tmp_path: Path, serve: Serve, act: Callable[[FrameStream], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), node(tmp_path / "n.sock", serve) as stream:
            await act(stream)

    asyncio.run(main())


def test_messages_come_whole_however_they_are_cut(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = framed(WELCOME) * 3
        for at in range(0, len(data), 5):
            writer.write(data[at : at + 5])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(framed(WELCOME) + framed(ToWorker()))
        writer.close()

    async def act(stream: FrameStream) -> None:
        assert [await stream.read() for _ in range(4)] == [WELCOME] * 4
        assert await stream.read() == ToWorker()
        assert await stream.read() is None
        assert stream.status() == (None, "")

    run(tmp_path, serve, act)


def test_what_is_written_is_framed_and_then_ends(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.close()

    async def act(stream: FrameStream) -> None:
        goodbye = FromWorker(goodbye=Goodbye())
        await stream.write(goodbye)
        stream.end_writing()
        assert await stream.read() is None
        assert seen == [framed(goodbye)]
        with pytest.raises(ConnectionError):
            await stream.write(goodbye)

    run(tmp_path, serve, act)


def test_a_refusal_is_the_streams_status(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(ToWorker(refusal=Refusal(code=7, message="not expected"))))
        writer.close()

    async def act(stream: FrameStream) -> None:
        assert await stream.read() is None
        assert stream.status() == (grpc.StatusCode.PERMISSION_DENIED, "not expected")

    run(tmp_path, serve, act)


def test_a_frame_that_is_too_large_ends_the_stream(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((LIMIT + 1).to_bytes(4, "big"))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def act(stream: FrameStream) -> None:
        assert await stream.read() is None
        assert f"{LIMIT + 1} bytes" in stream.status()[1]

    run(tmp_path, serve, act)


def test_a_slow_node_holds_the_writer_back(tmp_path: Path) -> None:
    go = asyncio.Event()
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await go.wait()
        while data := await reader.read(LIMIT):
            taken += len(data)
        writer.close()

    async def act(stream: FrameStream) -> None:
        large = FromWorker()
        large.results.results.add(sequence=1, stdout="x" * 60_000)

        async def write() -> None:
            for _ in range(64):
                await stream.write(large)

        writing = asyncio.create_task(write())
        done, _ = await asyncio.wait((writing,), timeout=0.2)
        assert not done
        go.set()
        await writing
        stream.end_writing()
        assert await stream.read() is None
        assert taken == 64 * len(framed(large))

    run(tmp_path, serve, act)
