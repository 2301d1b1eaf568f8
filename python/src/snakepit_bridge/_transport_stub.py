"""A stub as the generated one, whose calls go through a worker's own transport, under the call's token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from google.protobuf.message_factory import GetMessageClass

from snakepit._methods import Method, Transport
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit.errors import SnakepitError
from snakepit_bridge import _errors
from snakepit_bridge._calls import TimedCall

_SERVICE: Final = pb.DESCRIPTOR.services_by_name["BridgeService"]
# Run again, these run a tool twice.
_NOT_REPEATED: Final = frozenset(("ExecuteTool", "ExecuteStreamingTool", "ExecuteElixirTool"))


class _Unary(TimedCall):
    def __init__(self, transport: Transport, method: Method[Any, Any]) -> None:
        self._transport = transport
        self._method = method

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        """Ask. The metadata is the transport's own matter."""
        del metadata
        try:
            return self._transport.unary(self._method, request, timeout_s=timeout)
        except SnakepitError as error:
            raise _errors.of_failure(error) from error


class _Streamed(_Unary):
    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Iterator[Any]:
        """Ask, and give the answers as they come."""
        del metadata
        try:
            yield from self._transport.stream(self._method, request, timeout_s=timeout)
        except SnakepitError as error:
            raise _errors.of_failure(error) from error


class _Awaited(_Unary):
    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        """Ask, on a thread; to be awaited."""
        return asyncio.to_thread(super().__call__, request, timeout, metadata)


class TransportStub:
    """Has every call of the bridge that is not bidirectional, as an attribute."""

    _unary: ClassVar[type[_Unary]] = _Unary

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def asynchronous(self) -> AsyncTransportStub:
        """The same for code that awaits its calls."""
        return AsyncTransportStub(self._transport)

    def __getattr__(self, name: str) -> Any:
        described = _SERVICE.methods_by_name.get(name)
        if described is None or described.client_streaming:
            raise AttributeError(name)
        method: Method[Any, Any] = Method(
            name=name,
            request=GetMessageClass(described.input_type),
            response=GetMessageClass(described.output_type),
            deduplicated=name not in _NOT_REPEATED,
        )
        made = (_Streamed if described.server_streaming else self._unary)(self._transport, method)
        setattr(self, name, made)
        return made


class AsyncTransportStub(TransportStub):
    """The same for code that awaits its calls, as over `grpc.aio`."""

    _unary = _Awaited
