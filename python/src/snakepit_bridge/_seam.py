"""What our workers do for adapters of Snakepit's kind: contexts, arguments, results, registering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from google.protobuf.any_pb2 import Any as WireAny

from snakepit import Session, _tool_values
from snakepit._methods import Transport
from snakepit.errors import Invalid
from snakepit_bridge import _legacy, _pickles, _wire, serialization
from snakepit_bridge._remote_tools import CORRELATION_ID
from snakepit_bridge._transport_stub import TransportStub
from snakepit_bridge.base_adapter import BaseAdapter
from snakepit_bridge.session_context import SessionContext
from snakepit_bridge.zero_copy import ZeroCopyRef

# Sessions whose registering is remembered.
_SESSIONS_MAX: Final = 10_000
_OCTETS: Final = {"content_type": "application/octet-stream"}


class Call(Protocol):
    """A call as the worker has it."""

    call_id: str
    session_id: str

    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def parameters(self) -> Mapping[str, WireAny]: ...
    @property
    def binary_parameters(self) -> Mapping[str, bytes]: ...


class Seam:
    """One for a worker. Safe to share between threads.

    `announces`: tools that `BaseAdapter` registers go to the session's node; our own workers have told theirs
    of them already. `raw_arrays`: an array that is a result by itself goes raw, which nodes take and Snakepit
    itself does not.
    """

    def __init__(self, source: object, *, announces: bool = False, raw_arrays: bool = True) -> None:
        self.legacy = _legacy.chosen(source)
        self._announces = announces
        self._raw_arrays = raw_arrays
        self._registered: dict[str, None] = {}

    def context(self, call: Call, session: Session, transport: Transport) -> SessionContext:
        """The context of a call; costs nothing until it is used."""
        metadata = dict(call.metadata)
        metadata.setdefault(CORRELATION_ID, call.call_id)
        context = SessionContext(TransportStub(transport), call.session_id, request_metadata=metadata)
        context.bind(session)
        return context

    def arguments(self, call: Call) -> dict[str, Any]:
        """A call's arguments. Raises Invalid where one cannot be read."""
        payloads = call.binary_parameters
        found: dict[str, Any] = {}
        for name, payload in payloads.items():
            if call.metadata.get(f"binary_format:{name}") == "pickle":
                found[name] = _pickles.loads(payload)
            elif name not in call.parameters:
                found[name] = payload
        for name, value in call.parameters.items():
            if name not in found:
                argument = _wire.decode(value, payloads.get(name) if payloads else None)
                found[name] = ZeroCopyRef.from_dict(argument) if ZeroCopyRef.is_ref(argument) else argument
        return found

    def registering(self, instance: Any, context: SessionContext) -> Callable[[], Any] | None:
        """What an adapter does once for each session of this process; its outcome may have to be awaited."""
        if not context.session_id or context.session_id in self._registered:
            return None
        hook = self._hook(instance, "register_with_session")
        stub: Any = context.stub
        if hook is None:
            hook = self._hook(instance, "register_with_session_async")
            stub = context.stub.asynchronous()
        if hook is None:
            return None
        chosen = hook

        def register() -> Any:
            done = chosen(context.session_id, stub)
            if asyncio.iscoroutine(done):
                return self._after(done, context.session_id)
            self._remember(context.session_id)
            return done

        return register

    def encode(self, value: Any) -> tuple[WireAny, bytes | None]:
        """A result. Raises Invalid where it has no form."""
        if self.legacy:
            return _legacy.encode(value, self.legacy), None
        raw = _tool_values.raw_array(value) if self._raw_arrays else None
        return raw or serialization.encode_result(value)

    def chunk(self, yielded: Any) -> tuple[bytes, bool, dict[str, str]]:
        """The bytes, the mark of the last and the metadata of what a tool yielded."""
        final = False
        if hasattr(yielded, "data") and hasattr(yielded, "is_final"):
            yielded, final = yielded.data, bool(yielded.is_final)
        if isinstance(yielded, (bytes, bytearray)):
            return bytes(yielded), final, dict(_OCTETS)
        return serialization.encode_chunk_data(yielded), final, {}

    def unstreamed(self, complaint: str) -> Any:
        """A generator's value for a call that takes one. Raises Invalid unless old forms are asked for."""
        if self.legacy:
            return _legacy.STREAMED
        raise Invalid(complaint)

    def _hook(self, instance: Any, name: str) -> Callable[..., Any] | None:
        found = getattr(type(instance), name, None)
        if found is None:
            return None
        if found is getattr(BaseAdapter, name) and not (self._announces and name == "register_with_session"):
            return None
        hook: Callable[..., Any] = getattr(instance, name)
        return hook

    async def _after(self, work: Any, session_id: str) -> Any:
        done = await work
        self._remember(session_id)
        return done

    def _remember(self, session_id: str) -> None:
        if len(self._registered) >= _SESSIONS_MAX:
            self._registered.clear()
        self._registered[session_id] = None
