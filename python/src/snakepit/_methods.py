"""The calls that this package makes, as a table, and the seam through which they go out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from snakepit._proto import cluster_v1_pb2 as cluster
from snakepit._proto import session_v1_pb2 as sessions
from snakepit._proto import snakepit_bridge_pb2 as pb

Metadata = tuple[tuple[str, str], ...]

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

REQUEST_ID: Final = "x-snakepit-request-id"
PRINCIPAL: Final = "x-snakepit-principal"
CALL_TOKEN: Final = "x-snakepit-call-token"  # noqa: S105
CONSISTENCY: Final = "x-snakepit-consistency"
OPTIMIZATION_ID: Final = "x-snakepit-optimization-id"
ARRAYS: Final = "x-snakepit-arrays"
INDEX: Final = "x-snakepit-index"

BRIDGE: Final = "snakepit.bridge.BridgeService"
SESSIONS: Final = "snakepit.session.v1.Sessions"
CLUSTER: Final = "snakepit.cluster.v1.Cluster"
AUDIT: Final = "snakepit.cluster.v1.Audit"


@dataclass(frozen=True)
class Method(Generic[Q, A]):
    """One call of a service. `deduplicated`: a repeat with the same request id takes effect once.

    One that is not is sent again only where it was surely not begun, or where it is `repeatable`.
    `metadata` goes out with each request, whatever transport carries it.
    """

    name: str
    request: type[Q]
    response: type[A]
    deduplicated: bool = True
    service: str = BRIDGE
    metadata: Metadata = ()
    repeatable: bool = False

    @property
    def path(self) -> str:
        """Its path in HTTP/2."""
        return f"/{self.service}/{self.name}"


class Transport(Protocol):
    """Carries one call to a node. Raises the errors of `snakepit.errors`, nothing of gRPC."""

    def unary(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """Ask and wait, at most `timeout_s` in all, repeats included."""
        ...

    def stream(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> Iterator[A]:
        """Ask and give the answers as they come; never repeated. `timeout_s` may be infinite."""
        ...


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def unary(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """Ask and wait, at most `timeout_s` in all, repeats included."""
        ...

    def stream(self, method: Method[Q, A], request: Q, *, timeout_s: float | None = None) -> AsyncIterator[A]:
        """Ask and give the answers as they come; never repeated. `timeout_s` may be infinite."""
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
WATCH_VARIABLES: Final = Method("WatchVariables", pb.WatchVariablesRequest, pb.VariableUpdate)
ADD_DEPENDENCY: Final = Method("AddDependency", pb.AddDependencyRequest, pb.AddDependencyResponse)
START_OPTIMIZATION: Final = Method(
    "StartOptimization", pb.StartOptimizationRequest, pb.StartOptimizationResponse
)
STOP_OPTIMIZATION: Final = Method("StopOptimization", pb.StopOptimizationRequest, pb.StopOptimizationResponse)
GET_VARIABLE_HISTORY: Final = Method(
    "GetVariableHistory", pb.GetVariableHistoryRequest, pb.GetVariableHistoryResponse
)
ROLLBACK_VARIABLE: Final = Method("RollbackVariable", pb.RollbackVariableRequest, pb.RollbackVariableResponse)

SET_ACCESS: Final = Method(
    "SetAccess", sessions.SetAccessRequest, sessions.SetAccessResponse, service=SESSIONS
)
REMOVE_DEPENDENCY: Final = Method(
    "RemoveDependency", sessions.RemoveDependencyRequest, sessions.RemoveDependencyResponse, service=SESSIONS
)
PUT_PROGRAM: Final = Method(
    "PutProgram", sessions.PutProgramRequest, sessions.PutProgramResponse, service=SESSIONS
)
GET_PROGRAM: Final = Method(
    "GetProgram", sessions.GetProgramRequest, sessions.GetProgramResponse, service=SESSIONS
)
LIST_PROGRAMS: Final = Method(
    "ListPrograms", sessions.ListProgramsRequest, sessions.ListProgramsResponse, service=SESSIONS
)
DELETE_PROGRAM: Final = Method(
    "DeleteProgram", sessions.DeleteProgramRequest, sessions.DeleteProgramResponse, service=SESSIONS
)
EXPORT_SESSION: Final = Method(
    "ExportSession", sessions.ExportSessionRequest, sessions.SessionExport, service=SESSIONS
)
IMPORT_SESSION: Final = Method(
    "ImportSession", sessions.ImportSessionRequest, sessions.ImportSessionResponse, service=SESSIONS
)
ERASE_SUBJECT: Final = Method(
    "EraseSubject", sessions.EraseSubjectRequest, sessions.EraseSubjectResponse, service=SESSIONS
)
LIST_SUBJECTS: Final = Method(
    "ListSubjects", sessions.ListSubjectsRequest, sessions.ListSubjectsResponse, service=SESSIONS
)

READ_EVENTS: Final = Method("ReadEvents", cluster.ReadEventsRequest, cluster.StoredEvent, service=AUDIT)

LIST_SESSIONS: Final = Method(
    "ListSessions", cluster.ListSessionsRequest, cluster.ListSessionsResponse, service=CLUSTER
)
LIST_POOLS: Final = Method("ListPools", cluster.ListPoolsRequest, cluster.ListPoolsResponse, service=CLUSTER)
PUT_POOL: Final = Method("PutPool", cluster.PutPoolRequest, cluster.PutPoolResponse, service=CLUSTER)
REMOVE_POOL: Final = Method(
    "RemovePool", cluster.RemovePoolRequest, cluster.RemovePoolResponse, service=CLUSTER
)
LIST_WORKERS: Final = Method(
    "ListWorkers", cluster.ListWorkersRequest, cluster.ListWorkersResponse, service=CLUSTER
)
CONTROL_WORKERS: Final = Method(
    "ControlWorkers",
    cluster.ControlWorkersRequest,
    cluster.ControlWorkersResponse,
    deduplicated=False,
    service=CLUSTER,
)
