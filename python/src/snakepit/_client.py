"""The client: calls tools and makes sessions, through any node."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from snakepit import _chunks, _methods, _status, _values
from snakepit._endpoints import TIMEOUT_S, Endpoints
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._session import Session
from snakepit.errors import ToolError

# Metadata of the last chunk of a stream whose tool raised.
ERROR_TYPE: Final = "error_type"
ERROR_MESSAGE: Final = "error_message"
ERROR_TRACEBACK: Final = "error_traceback"


@dataclass(frozen=True, slots=True)
class CallResult:
    """A tool's answer: its value, and where it ran."""

    value: Any
    node_id: int
    worker_id: str
    call_id: str
    execution_time_ms: int


class Client:
    """A connection to a cluster through some of its nodes. Safe to share between threads.

    `endpoints` is a list or a comma-separated text of host:port or unix:path; where empty, the environment's
    SNAKEPIT_ENDPOINTS. `principal` is who the audit log says it was, unverified. `timeout_s` is the budget
    of each call, repeats on other nodes included; a call under way on a dead node is asked again elsewhere
    with the same request id. With `spread`, successive calls go to successive nodes.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = "",
        *,
        principal: str = "",
        timeout_s: float = TIMEOUT_S,
        spread: bool = False,
    ) -> None:
        metadata = ((_methods.PRINCIPAL, principal),) if principal else ()
        self._endpoints = Endpoints(
            _targets(endpoints), metadata=metadata, timeout_s=timeout_s, spread=spread
        )

    def call(
        self,
        tool: str,
        /,
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        **arguments: Any,
    ) -> CallResult:
        """Run a tool and wait. Raises ToolError where the tool raised.

        Give `request_id` to be able to repeat the call by hand after an error whose `maybe_done` is set.
        """
        return self.call_with(tool, arguments, session, timeout_s=timeout_s, request_id=request_id)

    def call_with(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> CallResult:
        """`call` for arguments of any name, and with metadata for the tool's request."""
        request = _request(tool, arguments, session, metadata)
        answer = self._endpoints.unary(
            _methods.EXECUTE_TOOL, request, timeout_s=timeout_s, request_id=request_id
        )
        if not answer.success:
            raise _tool_error(answer)
        return CallResult(
            value=_values.decode(answer.result, answer.binary_result or None),
            node_id=answer.node_id,
            worker_id=answer.worker_id,
            call_id=answer.call_id,
            execution_time_ms=answer.execution_time_ms,
        )

    def stream(
        self,
        tool: str,
        /,
        session: Session | str | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        **arguments: Any,
    ) -> Iterator[Any]:
        """The values that a streaming tool yields, as they come; closing the iterator cancels the call.

        Raises ToolError where the tool raised after what it had yielded.
        """
        request = _request(tool, arguments, session, None)
        request.stream = True
        for chunk in self._endpoints.stream(
            _methods.EXECUTE_STREAMING_TOOL, request, timeout_s=timeout_s, request_id=request_id
        ):
            if ERROR_TYPE in chunk.metadata:
                raise ToolError(
                    chunk.metadata[ERROR_TYPE],
                    chunk.metadata.get(ERROR_MESSAGE, ""),
                    chunk.metadata.get(ERROR_TRACEBACK, ""),
                )
            # Snakepit ends a stream with an empty chunk, which no tool has yielded.
            if chunk.data or not chunk.is_final:
                yield _chunks.decode_chunk(chunk.data, dict(chunk.metadata))

    def create_session(
        self, session_id: str, *, ttl_s: int = 0, metadata: Mapping[str, str] | None = None
    ) -> Session:
        """A session that lives `ttl_s` seconds after its last use (the node's default where 0).

        One that exists is returned unchanged.
        """
        request = pb.InitializeSessionRequest(
            session_id=session_id, metadata=metadata or {}, config=pb.SessionConfig(ttl_seconds=ttl_s)
        )
        answer = self._endpoints.unary(_methods.INITIALIZE_SESSION, request)
        if not answer.success:
            raise _status.from_refusal(answer.error_message)
        return self.session(session_id)

    def session(self, session_id: str) -> Session:
        """A session that exists; nothing is asked yet."""
        return Session(self._endpoints, session_id)

    def ping(self, message: str = "") -> str:
        """The answer of whichever node answers first."""
        return self._endpoints.unary(_methods.PING, pb.PingRequest(message=message)).message

    def close(self) -> None:
        """Close all connections; sessions live on."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    endpoints: str | Sequence[str] = "", *, principal: str = "", timeout_s: float = TIMEOUT_S
) -> Client:
    """A client of the cluster that these nodes belong to; see `Client`."""
    return Client(endpoints, principal=principal, timeout_s=timeout_s)


def _targets(endpoints: str | Sequence[str]) -> list[str]:
    given = endpoints or os.environ.get("SNAKEPIT_ENDPOINTS", "")
    parts = given.split(",") if isinstance(given, str) else given
    return [part.strip().removeprefix("http://") for part in parts if part.strip()]


def _request(
    tool: str,
    arguments: Mapping[str, Any],
    session: Session | str | None,
    metadata: Mapping[str, str] | None,
) -> pb.ExecuteToolRequest:
    session_id = session.id if isinstance(session, Session) else session or ""
    request = pb.ExecuteToolRequest(session_id=session_id, tool_name=tool, metadata=metadata or {})
    for name, value in arguments.items():
        encoded, payload = _values.encode(value)
        request.parameters[name].CopyFrom(encoded)
        if payload is not None:
            request.binary_parameters[name] = payload
    return request


def _tool_error(answer: pb.ExecuteToolResponse) -> ToolError:
    if answer.HasField("error"):
        return ToolError(answer.error.type, answer.error.message, answer.error.traceback)
    return ToolError("ToolError", answer.error_message)
