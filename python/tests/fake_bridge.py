"""The services over dictionaries: enough of a node's state for sessions and clients.

One log of events, one position each, as a node has it; several fakes may share one `State` and are a cluster
then. What is checked by types and constraints is a node's matter and not done here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NoReturn

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from snakepit._proto import cluster_v1_pb2 as cluster
from snakepit._proto import session_v1_pb2 as wire
from snakepit._proto import snakepit_bridge_pb2 as pb
from tests import methods

CODE = grpc.StatusCode
PAGE = 2


@dataclass
class State:
    """What a cluster has: shared by its fakes."""

    sessions: dict[str, dict[str, pb.Variable]] = field(default_factory=lambda: {"s1": {}})
    configs: dict[str, pb.InitializeSessionRequest] = field(default_factory=dict)
    programs: dict[tuple[str, str], wire.Program] = field(default_factory=dict)
    events: list[tuple[str, pb.VariableUpdate]] = field(default_factory=list)
    history: dict[str, list[pb.VariableHistoryEntry]] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    ids: int = 0
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))


class FakeBridge:
    """One node. `metadata` keeps each request's own; `fail_next` makes calls fail.

    `break_after` ends each watch with UNAVAILABLE behind so many updates; None never.
    """

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.metadata: list[tuple[str, dict[str, str]]] = []
        self.fail_next: list[tuple[Any, ...]] = []
        self.tools: dict[str, Callable[[pb.ExecuteToolRequest], pb.ExecuteToolResponse]] = {}
        self.requests: list[Any] = []
        self.break_after: int | None = None
        self.break_with: tuple[Any, ...] = (CODE.UNAVAILABLE, "draining")

    @property
    def sessions(self) -> dict[str, dict[str, pb.Variable]]:
        return self.state.sessions

    @sessions.setter
    def sessions(self, sessions: dict[str, dict[str, pb.Variable]]) -> None:
        self.state.sessions = sessions

    def handlers(self) -> grpc.GenericRpcHandler:
        return methods.handlers(self._answer, self._watch)

    def _answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        with self.state.changed:
            self._note(name, request, context)
            answer = getattr(self, name)(request, context)
            self.state.changed.notify_all()
            return answer

    def _note(self, name: str, request: Any, context: grpc.ServicerContext) -> None:
        sent = {str(key): str(value) for key, value in context.invocation_metadata()}
        self.metadata.append((name, sent))
        self.requests.append(request)
        if self.fail_next:
            code, details, *trailers = self.fail_next.pop(0)
            self._refuse(context, code, details, **(trailers[0] if trailers else {}))

    @staticmethod
    def _refuse(context: grpc.ServicerContext, code: grpc.StatusCode, text: str, **trailers: str) -> NoReturn:
        context.set_trailing_metadata(
            tuple((f"x-snakepit-{key.replace('_', '-')}", value) for key, value in trailers.items())
        )
        context.abort(code, text)
        raise AssertionError

    def _variables(self, request: Any, context: grpc.ServicerContext) -> dict[str, pb.Variable]:
        found = self.sessions.get(request.session_id)
        if found is None:
            self._refuse(context, CODE.NOT_FOUND, f"Session not found: {request.session_id}")
        return found

    def _variable(self, request: Any, context: grpc.ServicerContext, name: str = "") -> pb.Variable:
        name = name or request.variable_identifier
        variables = self._variables(request, context)
        by_id = {variable.id: variable for variable in variables.values()}
        found = variables.get(name) or by_id.get(name)
        if found is None:
            self._refuse(context, CODE.NOT_FOUND, f"Variable not found: {name}")
        return found

    def _locked(self, variable: pb.Variable, context: grpc.ServicerContext) -> str:
        sent = dict(context.invocation_metadata()).get("x-snakepit-optimization-id")
        lock = self.state.locks.get(variable.id)
        return "variable_locked_for_optimization" if lock and lock != sent else ""

    def _record(self, session_id: str, variable: pb.Variable, kind: str) -> int:
        """Append an event, as all watchers see it; its position."""
        position = len(self.state.events) + 1
        update = pb.VariableUpdate(
            variable_id=variable.id,
            variable=variable,
            update_type=kind,
            position=position,
            raft_index=position + 100,
            timestamp=Timestamp(seconds=position),
            cause=pb.ChangeCause(principal="ada", node=1),
        )
        self.state.events.append((session_id, update))
        return position

    def _store(
        self, session_id: str, variable: pb.Variable, value: Any, payload: bytes, kind: str, to: int = 0
    ) -> None:
        variable.value.CopyFrom(value)
        variable.binary_value = payload
        variable.version += 1
        position = self._record(session_id, variable, kind)
        entry = pb.VariableHistoryEntry(
            version=variable.version,
            value=value,
            binary_value=payload,
            update_type=kind,
            changed_by="ada",
            rolled_back_to=to,
            position=position,
            timestamp=Timestamp(seconds=position),
            cause=pb.ChangeCause(principal="ada", node=1),
        )
        self.state.history.setdefault(variable.id, []).insert(0, entry)

    # --- sessions ---

    def Ping(self, request: Any, context: Any) -> pb.PingResponse:
        return pb.PingResponse(message=request.message)

    def InitializeSession(self, request: Any, context: Any) -> pb.InitializeSessionResponse:
        created = request.session_id not in self.sessions
        self.sessions.setdefault(request.session_id, {})
        self.state.configs.setdefault(request.session_id, request)
        return pb.InitializeSessionResponse(success=True, created=created)

    def CleanupSession(self, request: Any, context: Any) -> pb.CleanupSessionResponse:
        found = self.sessions.get(request.session_id)
        if found is None:
            return pb.CleanupSessionResponse(success=True)
        if not request.force and any(variable.id in self.state.locks for variable in found.values()):
            self._refuse(context, CODE.FAILED_PRECONDITION, "an optimization holds a variable")
        del self.sessions[request.session_id]
        return pb.CleanupSessionResponse(success=True, resources_cleaned=1 + len(found))

    def GetSession(self, request: Any, context: Any) -> pb.GetSessionResponse:
        return self._info(request.session_id, self._variables(request, context))

    def _info(self, session_id: str, variables: dict[str, pb.Variable]) -> pb.GetSessionResponse:
        made = self.state.configs.get(session_id, pb.InitializeSessionRequest())
        return pb.GetSessionResponse(
            session_id=session_id,
            metadata=made.metadata,
            config=made.config,
            ttl_seconds=made.config.ttl_seconds,
            variable_count=len(variables),
            lock_count=len(self.state.locks),
            program_count=sum(owner == session_id for owner, _ in self.state.programs),
            update_count=sum(variable.version for variable in variables.values()),
        )

    def Heartbeat(self, request: Any, context: Any) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse(session_valid=request.session_id in self.sessions)

    def ListSessions(self, request: Any, context: Any) -> cluster.ListSessionsResponse:
        found = [
            self._info(session_id, variables)
            for session_id, variables in sorted(self.sessions.items())
            if fnmatchcase(session_id, request.pattern or "*") and session_id > request.page_token
        ]
        found = [info for info in found if dict(request.metadata).items() <= dict(info.metadata).items()]
        page, more = found[:PAGE], found[PAGE:]
        return cluster.ListSessionsResponse(
            sessions=page, next_page_token=page[-1].session_id if more else ""
        )

    # --- variables ---

    def GetVariable(self, request: Any, context: Any) -> pb.GetVariableResponse:
        variable = self._variable(request, context)
        if "read" in json.loads(variable.access_control_json or "{}"):
            self._refuse(context, CODE.PERMISSION_DENIED, "may not read", error_kind="denied", done="no")
        return pb.GetVariableResponse(variable=variable)

    def SetVariable(self, request: Any, context: Any) -> pb.SetVariableResponse:
        variable = self._variable(request, context)
        if locked := self._locked(variable, context):
            self._refuse(context, CODE.FAILED_PRECONDITION, locked, error_kind="refused", done="no")
        if request.expected_version not in (0, variable.version):
            self._refuse(context, CODE.ABORTED, f"version mismatch: current is {variable.version}")
        variable.metadata.update(request.metadata)
        self._store(request.session_id, variable, request.value, request.binary_value, "value_change")
        return pb.SetVariableResponse(success=True, new_version=variable.version)

    def GetVariables(self, request: Any, context: Any) -> pb.BatchGetVariablesResponse:
        variables = self._variables(request, context)
        names = request.variable_identifiers
        return pb.BatchGetVariablesResponse(
            variables={name: variables[name] for name in names if name in variables},
            missing_variables=[name for name in names if name not in variables],
        )

    def SetVariables(self, request: Any, context: Any) -> pb.BatchSetVariablesResponse:
        variables = self._variables(request, context)
        errors = {}
        for name in request.updates:
            if name not in variables:
                errors[name] = f"Variable not found: {name}"
            elif request.expected_versions.get(name, 0) not in (0, variables[name].version):
                errors[name] = f"version mismatch: current is {variables[name].version}"
            elif locked := self._locked(variables[name], context):
                errors[name] = locked
        if errors and request.atomic:
            return pb.BatchSetVariablesResponse(success=False, errors=errors)
        good = [name for name in request.updates if name not in errors]
        for name in good:
            payload = request.binary_updates.get(name, b"")
            self._store(request.session_id, variables[name], request.updates[name], payload, "value_change")
        versions = {name: variables[name].version for name in good}
        return pb.BatchSetVariablesResponse(success=not errors, errors=errors, new_versions=versions)

    def RegisterVariable(self, request: Any, context: Any) -> pb.RegisterVariableResponse:
        variables = self._variables(request, context)
        known = variables.get(request.name)
        if known is not None and known.type != request.type:
            self._refuse(context, CODE.ALREADY_EXISTS, f"{request.name} is of type {known.type}")
        kind = "value_change"
        if known is None:
            self.state.ids += 1
            kind = "registered"
            known = pb.Variable(
                id=f"var_{request.name}_{self.state.ids}", name=request.name, type=request.type
            )
            variables[request.name] = known
        known.constraints_json = request.constraints_json
        known.metadata.update(request.metadata)
        known.access_control_json = request.access_control_json or known.access_control_json
        self._store(request.session_id, known, request.initial_value, request.initial_binary_value, kind)
        return pb.RegisterVariableResponse(success=True, variable_id=known.id, version=known.version)

    def ListVariables(self, request: Any, context: Any) -> pb.ListVariablesResponse:
        variables = self._variables(request, context)
        names = sorted(
            n for n in variables if fnmatchcase(n, request.pattern or "*") and n > request.page_token
        )
        # Pages of two, to see that they are followed.
        more = names[PAGE - 1] if len(names) > PAGE else ""
        return pb.ListVariablesResponse(variables=[variables[n] for n in names[:PAGE]], next_page_token=more)

    def DeleteVariable(self, request: Any, context: Any) -> pb.DeleteVariableResponse:
        variable = self._variable(request, context)
        if any(dependent.kind == "requires" for dependent in variable.dependents):
            self._refuse(context, CODE.FAILED_PRECONDITION, f"{variable.name} is required")
        self._record(request.session_id, pb.Variable(id=variable.id, name=variable.name), "deleted")
        del self.sessions[request.session_id][variable.name]
        return pb.DeleteVariableResponse(success=True)

    # --- history ---

    def GetVariableHistory(self, request: Any, context: Any) -> pb.GetVariableHistoryResponse:
        entries = self.state.history.get(self._variable(request, context).id, [])
        before = request.before_version or 1 << 30
        entries = [entry for entry in entries if entry.version < before]
        page = entries[: min(request.limit or 100, PAGE)]
        more = page[-1].version if len(entries) > len(page) else 0
        return pb.GetVariableHistoryResponse(entries=page, next_before_version=more)

    def RollbackVariable(self, request: Any, context: Any) -> pb.RollbackVariableResponse:
        variable = self._variable(request, context)
        if request.expected_version not in (0, variable.version):
            self._refuse(context, CODE.ABORTED, f"version mismatch: current is {variable.version}")
        old = {entry.version: entry for entry in self.state.history[variable.id]}.get(request.target_version)
        if old is None:
            self._refuse(context, CODE.INVALID_ARGUMENT, f"no version {request.target_version}")
        self._store(
            request.session_id, variable, old.value, old.binary_value, "rollback", request.target_version
        )
        return pb.RollbackVariableResponse(success=True, variable=variable)

    # --- dependencies, access, locks ---

    def AddDependency(self, request: Any, context: Any) -> pb.AddDependencyResponse:
        one = self._variable(request, context, request.from_variable)
        other = self._variable(request, context, request.to_variable)
        if any(dependency.variable == one.name for dependency in other.dependencies):
            self._refuse(context, CODE.FAILED_PRECONDITION, f"a cycle: {one.name}, {other.name}, {one.name}")
        one.dependencies.add(variable=other.name, kind=request.dependency_type)
        other.dependents.add(variable=one.name, kind=request.dependency_type)
        return pb.AddDependencyResponse(success=True)

    def RemoveDependency(self, request: Any, context: Any) -> wire.RemoveDependencyResponse:
        one = self._variable(request, context, request.from_variable)
        other = self._variable(request, context, request.to_variable)
        existed = bool(one.dependencies)
        del one.dependencies[:]
        del other.dependents[:]
        return wire.RemoveDependencyResponse(existed=existed)

    def SetAccess(self, request: Any, context: Any) -> wire.SetAccessResponse:
        self._variable(request, context).access_control_json = request.access_control_json
        return wire.SetAccessResponse()

    def StartOptimization(self, request: Any, context: Any) -> pb.StartOptimizationResponse:
        variable = self._variable(request, context)
        held = variable.optimization_status
        if held.optimizing and held.optimizer_id != request.optimizer_id:
            self._refuse(context, CODE.FAILED_PRECONDITION, "variable_locked_for_optimization")
        held.optimizing, held.optimizer_id = True, request.optimizer_id
        held.optimizer_config.update(request.optimizer_config)
        held.expires_at.FromMilliseconds(held.expires_at.ToMilliseconds() + request.lease_ms)
        self.state.locks.setdefault(variable.id, f"o-{request.optimizer_id}")
        return pb.StartOptimizationResponse(
            success=True, optimization_id=self.state.locks[variable.id], expires_at=held.expires_at
        )

    def StopOptimization(self, request: Any, context: Any) -> pb.StopOptimizationResponse:
        variable = self._variable(request, context)
        if not request.force and self.state.locks.get(variable.id) != request.optimization_id:
            self._refuse(context, CODE.FAILED_PRECONDITION, "another holds the lock")
        self.state.locks.pop(variable.id, None)
        variable.ClearField("optimization_status")
        return pb.StopOptimizationResponse(
            success=True, final_value=variable.value, final_binary_value=variable.binary_value
        )

    # --- watches ---

    def _watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[pb.VariableUpdate]:
        with self.state.changed:
            self._note("WatchVariables", request, context)
            variables = self._variables(request, context)
            moment = len(self.state.events)
            initial = []
            if request.include_initial_values and not request.after_position:
                initial = [
                    pb.VariableUpdate(
                        variable_id=v.id, variable=v, update_type="initial_value", position=moment
                    )
                    for v in map(self._copy, sorted(variables.values(), key=lambda v: v.name))
                ]
            at = request.after_position or (request.after_index - 100 if request.after_index else moment)
        context.send_initial_metadata((("x-snakepit-index", str(moment + 100)),))
        sent = 0
        wanted = set(request.variable_identifiers)
        for update in self._updates(request.session_id, initial, at, context):
            if wanted and not wanted & {update.variable_id, update.variable.name}:
                continue
            if self.break_after is not None and sent >= self.break_after:
                code, text, *trailers = self.break_with
                self._refuse(context, code, text, **(trailers[0] if trailers else {}))
            yield update
            sent += 1

    def _updates(
        self, session_id: str, initial: list[pb.VariableUpdate], at: int, context: grpc.ServicerContext
    ) -> Iterator[pb.VariableUpdate]:
        yield from initial
        while context.is_active():
            with self.state.changed:
                if session_id not in self.sessions:
                    self._refuse(context, CODE.NOT_FOUND, f"Session not found: {session_id}")
                events = self.state.events[at:]
                if not events:
                    self.state.changed.wait(0.05)
            for owner, update in events:
                at = update.position
                if owner == session_id:
                    yield update

    @staticmethod
    def _copy(variable: pb.Variable) -> pb.Variable:
        copy = pb.Variable()
        copy.CopyFrom(variable)
        return copy

    # --- programs ---

    def PutProgram(self, request: Any, context: Any) -> wire.PutProgramResponse:
        key = (request.session_id, request.program_id)
        known = self.state.programs.get(key)
        version = known.version if known else 0
        if request.expected_version not in (0, version):
            self._refuse(context, CODE.ABORTED, f"version mismatch: current is {version}")
        program = wire.Program(
            program_id=request.program_id,
            value=request.value,
            binary_value=request.binary_value,
            metadata=request.metadata,
            version=version + 1,
        )
        if not request.session_id:
            program.expires_at.FromSeconds(request.ttl_seconds or 3600)
        self.state.programs[key] = program
        return wire.PutProgramResponse(version=program.version)

    def GetProgram(self, request: Any, context: Any) -> wire.GetProgramResponse:
        found = self.state.programs.get((request.session_id, request.program_id))
        if found is None:
            self._refuse(
                context, CODE.NOT_FOUND, f"Program not found: {request.program_id}", error_kind="not_found"
            )
        return wire.GetProgramResponse(program=found)

    def ListPrograms(self, request: Any, context: Any) -> wire.ListProgramsResponse:
        found = [
            program
            for (owner, name), program in sorted(self.state.programs.items())
            if owner == request.session_id
            and fnmatchcase(name, request.pattern or "*")
            and name > request.page_token
        ]
        page, more = found[:PAGE], found[PAGE:]
        return wire.ListProgramsResponse(programs=page, next_page_token=page[-1].program_id if more else "")

    def DeleteProgram(self, request: Any, context: Any) -> wire.DeleteProgramResponse:
        gone = self.state.programs.pop((request.session_id, request.program_id), None)
        return wire.DeleteProgramResponse(existed=gone is not None)

    # --- export and import ---

    def ExportSession(self, request: Any, context: Any) -> wire.SessionExport:
        variables = self._variables(request, context)
        made = self.state.configs.get(request.session_id, pb.InitializeSessionRequest())
        return wire.SessionExport(
            format=1,
            session_id=request.session_id,
            metadata=made.metadata,
            config=made.config,
            created_at=Timestamp(seconds=1, nanos=5_000_000),
            variables=[variables[name] for name in sorted(variables)],
            programs=[p for (owner, _), p in self.state.programs.items() if owner == request.session_id],
            revision=len(self.state.events),
        )

    def ImportSession(self, request: Any, context: Any) -> wire.ImportSessionResponse:
        session_id = request.session_id or request.export.session_id
        if session_id in self.sessions:
            self._refuse(context, CODE.ALREADY_EXISTS, f"session {session_id} exists")
        self.sessions[session_id] = {}
        for variable in request.export.variables:
            made = self._copy(variable)
            made.version = 0
            self.sessions[session_id][variable.name] = made
            self._store(session_id, made, variable.value, variable.binary_value, "registered")
        for program in request.export.programs:
            self.state.programs[session_id, program.program_id] = program
        return wire.ImportSessionResponse(
            session_id=session_id,
            variables=len(request.export.variables),
            programs=len(request.export.programs),
        )

    # --- tools ---

    def ExecuteTool(self, request: Any, context: Any) -> pb.ExecuteToolResponse:
        return self.tools[request.tool_name](request)
