"""Tools of a process that no node started, offered to the cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from snakepit._client import targets
from snakepit.errors import Refused

if TYPE_CHECKING:
    from snakepit.worker._offers import Offers
    from snakepit.worker._source import Source

T = TypeVar("T")
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 10.0


class Service:
    """Tools that are offered, from a thread of their own, until `stop` or the end of the `with` block."""

    def __init__(self, offers: Offers, name: str, timeout_s: float) -> None:
        self.name = name
        self._offers = offers
        self._stopped = threading.Event()
        self._stopping = threading.Lock()
        self._loop = asyncio.new_event_loop()
        # gRPC's own queue of events complains where several loops share it, and goes on.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._run, name="snakepit-serve", daemon=True)
        self._thread.start()
        try:
            self._do(offers.start(timeout_s))
        except BaseException:
            self._end()
            raise

    @property
    def nodes(self) -> list[int]:
        """The ids of the nodes that have the tools now."""
        return self._offers.nodes

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Take the tools away; calls that run may end within `timeout_s`. A second time does nothing."""
        with self._stopping:
            if self._stopped.is_set():
                return
            try:
                self._do(self._offers.stop(timeout_s))
            finally:
                self._end()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until another thread, or a signal's handler, stops it; False where the time is over."""
        return self._stopped.wait(timeout_s)

    def serve_forever(self, stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Serve until SIGINT or SIGTERM, then stop; for the main thread."""
        asked = threading.Event()
        with _signals(asked):
            while not asked.wait(0.5) and not self._stopped.is_set():
                pass
            self.stop(stop_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        done: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result()

    def _end(self) -> None:
        self._stopped.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class AsyncService:
    """The same in the loop that runs: offered within `async with`, or from `start` to `stop`."""

    def __init__(self, offers: Offers, name: str, timeout_s: float) -> None:
        self.name = name
        self._offers = offers
        self._timeout_s = timeout_s
        self._stopped = asyncio.Event()
        self._started = False

    @property
    def nodes(self) -> list[int]:
        """The ids of the nodes that have the tools now."""
        return self._offers.nodes

    async def start(self) -> None:
        """Offer them. Raises Refused where a node does not take them, Unavailable where none answers."""
        if self._started:
            raise Refused("the tools were offered before", hint="make another service")
        self._started = True
        try:
            await self._offers.start(self._timeout_s)
        except BaseException:
            self._stopped.set()
            raise

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Take the tools away; calls that run may end within `timeout_s`. A second time does nothing."""
        if self._started and not self._stopped.is_set():
            self._stopped.set()
            await self._offers.stop(timeout_s)

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until another task stops it; False where the time is over."""
        try:
            return await asyncio.wait_for(self._stopped.wait(), timeout_s)
        except TimeoutError:
            return False

    async def serve_forever(self, stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Serve until SIGINT or SIGTERM, then stop; for the loop of the main thread."""
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, asked.set)
        waits = [asyncio.create_task(asked.wait()), asyncio.create_task(self._stopped.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await self.stop(stop_timeout_s)
        finally:
            for wait in waits:
                wait.cancel()
            for number in numbers:
                loop.remove_signal_handler(number)

    async def __aenter__(self) -> Self:
        if not self._started:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def serve(
    tools: Source,
    endpoints: str | Sequence[str] = "",
    *,
    name: str,
    slots: int = 1,
    principal: str = "",
    timeout_s: float = START_TIMEOUT_S,
) -> Service:
    """Offer tools of this process to the cluster, under a name that works as a pool's.

    `tools` is a path such as `pkg.mod` or `pkg.mod.Class`, a module, a class, or a list of functions, marked
    with `tool` or plain. Each of the `endpoints` (SNAKEPIT_ENDPOINTS where empty) gets a stream of its own:
    these nodes have the tools at hand, and the others of the cluster reach them through these. A stream that
    breaks is dialled again, with longer and longer pauses, while the others serve on; the calls that it
    carried are given up. `slots` calls run at once, over all streams together.

    Returns when each node was tried and one has the tools. Raises Invalid where there is nothing to serve,
    Refused where a node says no, and Unavailable where none answers within `timeout_s`.
    """
    return Service(_offers(tools, endpoints, name=name, slots=slots, principal=principal), name, timeout_s)


def serve_async(
    tools: Source,
    endpoints: str | Sequence[str] = "",
    *,
    name: str,
    slots: int = 1,
    principal: str = "",
    timeout_s: float = START_TIMEOUT_S,
) -> AsyncService:
    """The same as `serve`, in the event loop that runs: offered within `async with`."""
    return AsyncService(
        _offers(tools, endpoints, name=name, slots=slots, principal=principal), name, timeout_s
    )


def _offers(
    tools: Source, endpoints: str | Sequence[str], *, name: str, slots: int, principal: str
) -> Offers:
    from snakepit.worker._offers import Offers
    from snakepit.worker._source import host_of

    host = host_of(tools, slots=slots)
    return Offers(host, targets(endpoints), name=name, slots=slots, principal=principal)


@contextlib.contextmanager
def _signals(asked: threading.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM set an event; a second one does what it did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        put_back()

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        put_back()
