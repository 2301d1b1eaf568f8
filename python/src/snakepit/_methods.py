"""The bridge's calls that this package makes, as a table, and the seam through which they go out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from snakepit._proto import snakepit_bridge_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

REQUEST_ID: Final = "x-snakepit-request-id"
PRINCIPAL: Final = "x-snakepit-principal"
CALL_TOKEN: Final = "x-snakepit-call-token"  # noqa: S105
CONSISTENCY: Final = "x-snakepit-consistency"


@dataclass(frozen=True)
class Method(Generic[Q, A]):
    """One call of the bridge. `deduplicated`: a repeat with the same request id takes effect once."""

    name: str
    request: type[Q]
    response: type[A]
    deduplicated: bool = True

    @property
    def path(self) -> str:
        """Its path in HTTP/2."""
        return f"/snakepit.bridge.BridgeService/{self.name}"


class Transport(Protocol):
    """Carries one call to a node. Raises the errors of `snakepit.errors`, nothing of gRPC."""

    def unary(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """Ask and wait, at most `timeout_s` in all, repeats included."""
        ...

    def stream(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> Iterator[A]:
        """Ask and give the answers as they come; never repeated."""
        ...


PING: Final = Method("Ping", pb.PingRequest, pb.PingResponse)
INITIALIZE_SESSION: Final = Method(
    "InitializeSession", pb.InitializeSessionRequest, pb.InitializeSessionResponse
)
CLEANUP_SESSION: Final = Method("CleanupSession", pb.CleanupSessionRequest, pb.CleanupSessionResponse)
GET_SESSION: Final = Method("GetSession", pb.GetSessionRequest, pb.GetSessionResponse)
HEARTBEAT: Final = Method("Heartbeat", pb.HeartbeatRequest, pb.HeartbeatResponse)
GET_VARIABLE: Final = Method("GetVariable", pb.GetVariableRequest, pb.GetVariableResponse)
SET_VARIABLE: Final = Method("SetVariable", pb.SetVariableRequest, pb.SetVariableResponse)
GET_VARIABLES: Final = Method("GetVariables", pb.BatchGetVariablesRequest, pb.BatchGetVariablesResponse)
SET_VARIABLES: Final = Method("SetVariables", pb.BatchSetVariablesRequest, pb.BatchSetVariablesResponse)
REGISTER_VARIABLE: Final = Method("RegisterVariable", pb.RegisterVariableRequest, pb.RegisterVariableResponse)
LIST_VARIABLES: Final = Method("ListVariables", pb.ListVariablesRequest, pb.ListVariablesResponse)
DELETE_VARIABLE: Final = Method("DeleteVariable", pb.DeleteVariableRequest, pb.DeleteVariableResponse)
EXECUTE_TOOL: Final = Method("ExecuteTool", pb.ExecuteToolRequest, pb.ExecuteToolResponse, deduplicated=False)
EXECUTE_STREAMING_TOOL: Final = Method(
    "ExecuteStreamingTool", pb.ExecuteToolRequest, pb.ToolChunk, deduplicated=False
)
