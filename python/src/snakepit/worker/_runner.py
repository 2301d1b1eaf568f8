"""Runs one call: arguments, instance, tool, stream, outcome."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextvars import Token
from typing import TYPE_CHECKING, Any, Final, TypeVar

from snakepit._proto.worker_v1_pb2 import Call, Chunk, Result
from snakepit._running import Running, current
from snakepit.errors import Exhausted, Invalid
from snakepit.worker import _arguments, _generators, _outcome, _results
from snakepit.worker._host import Host
from snakepit.worker._job import AsyncCredits, Callbacks, Job, SyncCredits
from snakepit.worker._outbox import Outbox
from snakepit.worker._telemetry import Telemetry
from snakepit.worker._tool_loop import ToolLoop

if TYPE_CHECKING:
    from snakepit_bridge._seam import Seam

T = TypeVar("T")

# What is neither awaited nor iterated to its end; most results are of these.
_FINAL: Final = frozenset((type(None), bool, int, float, str, bytes, list, tuple, dict))
_NOT_STREAMED: Final = (
    "the tool returned a generator to a call that takes one value; call it with stream set, or return a list"
)


class Runner:
    """What jobs of one worker have in common. `run` is for threads, `run_async` for the tools' loop."""

    def __init__(
        self,
        host: Host,
        callbacks: Callbacks,
        outbox: Outbox,
        tools: ToolLoop,
        bytes_max: int,
        *,
        telemetry: Telemetry | None = None,
        announces: bool = False,
        raw_arrays: bool = True,
    ) -> None:
        self._host = host
        self._seam = _seam_of(host, announces, raw_arrays) if host.is_bridge else None
        plain = _results.encode if raw_arrays else _results.encode_listed
        self._encode = self._seam.encode if self._seam is not None else plain
        self._encode_chunk = self._seam.chunk if self._seam is not None else _results.encode_chunk
        self._callbacks = callbacks
        self._outbox = outbox
        self._tools = tools
        self._telemetry = telemetry or Telemetry()
        self._bytes_max = bytes_max
        self._shared: Any = None

    def limit_messages(self, bytes_max: int) -> None:
        """Take the node's limit where it is below ours."""
        self._bytes_max = bytes_max

    async def start(self) -> None:
        """Make the instance that lives as long as the worker, where there is one."""
        if self._host.per_worker and self._host.is_class:
            await asyncio.wrap_future(self._tools.submit(self._make_shared()))
        elif self._host.per_worker:
            self._shared = self._host.source
            if hasattr(self._shared, "initialize"):
                await asyncio.wrap_future(self._tools.submit(self._hook_async(self._shared, "initialize")))

    def share_with(self, other: Runner) -> None:
        """Use the instance that another runner has made, and leave its end to that one."""
        self._shared = other._shared

    async def stop(self) -> None:
        """Clean that instance up."""
        if hasattr(self._shared, "cleanup"):
            await asyncio.wrap_future(self._tools.submit(self._hook_async(self._shared, "cleanup")))

    async def _make_shared(self) -> None:
        self._shared = self._host.make()
        await self._hook_async(self._shared, "initialize")

    # --- on a thread ---

    def run(self, job: Job) -> Result:
        """Run a sync tool here; chunks go out on the way. Never raises."""
        began = time.perf_counter_ns()
        token = self._begin(job)
        try:
            value = self._run_with_instance(job, self._context(job))
            if job.stopped is not None:
                result = _outcome.of_failure(job.sequence, *job.stopped, began)
            else:
                result = _outcome.of_value(job.sequence, value, began, self._bytes_max, self._encode)
        except BaseException as error:
            result = _outcome.of_exception(job.sequence, error, began)
        finally:
            current.reset(token)
        return self._end(job, result, began)

    def _run_with_instance(self, job: Job, context: Any) -> Any:
        if self._shared is not None:
            self._lend(self._shared, context)
            self._wait_for(self._register(self._shared, context))
            return self._finish(job, self._call(job, self._shared, context))
        instance = self._host.make()
        try:
            self._lend(instance, context)
            self._wait_for(self._register(instance, context))
            self._hook(instance, "initialize")
            return self._finish(job, self._call(job, instance, context))
        finally:
            self._hook(instance, "cleanup")

    def _finish(self, job: Job, value: Any) -> Any:
        """The final value of what the tool returned: awaited, or streamed to its end."""
        if type(value) in _FINAL and not job.call.stream:
            return value
        if inspect.isawaitable(value):
            value = self._on_loop(_generators.awaited(value))
        if isinstance(value, AsyncIterator):
            return self._on_loop(self._stream_async(job, value))
        if isinstance(value, Iterator):
            return self._stream(job, value)
        if job.call.stream:
            return self._stream(job, iter((value,)))
        return value

    def _stream(self, job: Job, items: Iterator[Any]) -> Any:
        """Send a generator's items as the node has room; its return value is the call's."""
        if not job.call.stream:
            _generators.close(items)
            return self._unstreamed()
        credits = job.credits
        assert isinstance(credits, SyncCredits)  # noqa: S101
        number = 0
        try:
            while job.stopped is None:
                try:
                    item = next(items)
                except StopIteration as end:
                    return end.value
                chunk = self._chunk(job.call, number, item)
                if not credits.take():
                    break
                self._outbox.post(chunk)
                number += 1
        finally:
            _generators.close(items)
        return None

    def _hook(self, instance: Any, name: str) -> None:
        hook = getattr(instance, name, None)
        if hook is not None:
            self._wait_for(hook())

    def _wait_for(self, outcome: Any) -> None:
        if outcome is not None and inspect.isawaitable(outcome):
            self._on_loop(_generators.awaited(outcome))

    def _register(self, instance: Any, context: Any) -> Any:
        """What an adapter does once for each session; may have to be awaited."""
        register = None if self._seam is None else self._seam.registering(instance, context)
        return None if register is None else register()

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return self._tools.submit(work).result()

    # --- on the tools' loop ---

    async def run_async(self, job: Job) -> Result:
        """Run an async tool here. Raises nothing but the cancellation that nobody asked for."""
        began = time.perf_counter_ns()
        # The task has a context of its own, so nothing is reset.
        self._begin(job)
        try:
            value = await self._run_with_instance_async(job, self._context(job))
            result = _outcome.of_value(job.sequence, value, began, self._bytes_max, self._encode)
        except asyncio.CancelledError as error:
            if job.stopped is None:
                result = _outcome.of_exception(job.sequence, error, began)
            else:
                result = _outcome.of_failure(job.sequence, *job.stopped, began)
        except BaseException as error:
            result = _outcome.of_exception(job.sequence, error, began)
        return self._end(job, result, began)

    async def _run_with_instance_async(self, job: Job, context: Any) -> Any:
        if self._shared is not None:
            self._lend(self._shared, context)
            await self._register_async(self._shared, context)
            return await self._finish_async(job, self._call(job, self._shared, context))
        instance = self._host.make()
        try:
            self._lend(instance, context)
            await self._register_async(instance, context)
            await self._hook_async(instance, "initialize")
            return await self._finish_async(job, self._call(job, instance, context))
        finally:
            await self._hook_async(instance, "cleanup")

    async def _finish_async(self, job: Job, value: Any) -> Any:
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, AsyncIterator):
            return await self._stream_async(job, value)
        if isinstance(value, Iterator):
            return await self._stream_async(job, _generators.stepped(value))
        if job.call.stream:
            return await self._stream_async(job, _generators.stepped(iter((value,))))
        return value

    async def _stream_async(self, job: Job, items: AsyncIterator[Any]) -> Any:
        if not job.call.stream:
            await _generators.aclose(items)
            return self._unstreamed()
        number = 0
        try:
            async for item in items:
                chunk = self._chunk(job.call, number, item)
                # A sync function that returned an async generator waits on a thread meanwhile.
                if isinstance(job.credits, AsyncCredits):
                    await job.credits.take()
                elif job.credits is not None and not await asyncio.to_thread(job.credits.take):
                    break
                self._outbox.post(chunk)
                number += 1
        finally:
            await _generators.aclose(items)

    async def _hook_async(self, instance: Any, name: str) -> None:
        hook = getattr(instance, name, None)
        if hook is None:
            return
        # A sync hook may load a model: not on the loop, where other tools run.
        outcome = hook() if inspect.iscoroutinefunction(hook) else await asyncio.to_thread(hook)
        if inspect.isawaitable(outcome):
            await outcome

    async def _register_async(self, instance: Any, context: Any) -> None:
        register = None if self._seam is None else self._seam.registering(instance, context)
        if register is not None:
            outcome = await asyncio.to_thread(register)
            if inspect.isawaitable(outcome):
                await outcome

    # --- both ---

    def _begin(self, job: Job) -> Token[Running | None]:
        job.callbacks = self._callbacks
        job.telemetry = self._telemetry
        if self._telemetry.on:
            self._telemetry.begun(job)
        return current.set(job)

    def _end(self, job: Job, result: Result, began_ns: int) -> Result:
        if job.outputs is not None:
            job.outputs.fill(result, self._bytes_max - _outcome.FRAME_BYTES)
        if self._telemetry.on:
            self._telemetry.ended(job, result, began_ns)
        return result

    def _context(self, job: Job) -> Any:
        """What adapters of Snakepit's kind get; others get the session where they ask for it."""
        if self._seam is None:
            return None
        job.correlation_id = job.correlation_id or job.call.call_id
        return self._seam.context(job.call, job.session, self._callbacks.transport(job))

    def _unstreamed(self) -> Any:
        if self._seam is not None:
            return self._seam.unstreamed(_NOT_STREAMED)
        raise Invalid(_NOT_STREAMED)

    def _lend(self, instance: Any, context: Any) -> None:
        if self._host.sets_session:
            instance.set_session_context(context)

    def _call(self, job: Job, instance: Any, context: Any) -> Any:
        entry, call = job.entry, job.call
        arguments = _arguments.read(call, entry.listed) if self._seam is None else self._seam.arguments(call)
        if entry.dispatches:
            return instance.execute_tool(tool_name=call.tool, arguments=arguments, context=context)
        if entry.session_parameter is not None:
            arguments[entry.session_parameter] = job.session
        if self._host.is_class:
            # Through the instance, so that static and class methods bind as they should.
            return getattr(instance, entry.attribute)(**arguments)
        return entry.function(**arguments)

    def _chunk(self, call: Call, number: int, item: object) -> Chunk:
        data, final, metadata = self._encode_chunk(item)
        if len(data) > self._bytes_max // 2:
            raise Exhausted(_outcome.too_large("a chunk", len(data), self._bytes_max // 2))
        return Chunk(
            sequence=call.sequence,
            chunk_id=f"{call.tool}-{number}",
            data=data,
            metadata=metadata,
            is_final=final,
        )


def _seam_of(host: Host, announces: bool, raw_arrays: bool) -> Seam:
    from snakepit_bridge._seam import Seam

    return Seam(host.source, announces=announces, raw_arrays=raw_arrays)
