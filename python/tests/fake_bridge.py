"""The bridge service over dictionaries: enough of a node's state for sessions and clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import grpc

from snakepit._proto import snakepit_bridge_pb2 as pb
from tests import methods


class FakeBridge:
    """One session table. `metadata` keeps each request's own; `fail_next` makes calls fail."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, pb.Variable]] = {"s1": {}}
        self.metadata: list[tuple[str, dict[str, str]]] = []
        self.fail_next: list[tuple[grpc.StatusCode, str]] = []
        self.tools: dict[str, Callable[[pb.ExecuteToolRequest], pb.ExecuteToolResponse]] = {}
        self._ids = 0
        self._lock = threading.Lock()

    def handlers(self) -> grpc.GenericRpcHandler:
        return methods.handlers(self._answer)

    def _answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            sent = {str(key): str(value) for key, value in context.invocation_metadata()}
            self.metadata.append((name, sent))
            if self.fail_next:
                code, details = self.fail_next.pop(0)
                context.abort(code, details)
            return getattr(self, name)(request, context)

    def _variables(self, request: Any, context: grpc.ServicerContext) -> dict[str, pb.Variable]:
        found = self.sessions.get(request.session_id)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Session not found: {request.session_id}")
            raise AssertionError
        return found

    def _variable(self, request: Any, context: grpc.ServicerContext) -> pb.Variable:
        found = self._variables(request, context).get(request.variable_identifier)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Variable not found: {request.variable_identifier}")
            raise AssertionError
        return found

    def Ping(self, request: Any, context: Any) -> pb.PingResponse:
        return pb.PingResponse(message=request.message)

    def InitializeSession(self, request: Any, context: Any) -> pb.InitializeSessionResponse:
        created = request.session_id not in self.sessions
        self.sessions.setdefault(request.session_id, {})
        return pb.InitializeSessionResponse(success=True, created=created)

    def CleanupSession(self, request: Any, context: Any) -> pb.CleanupSessionResponse:
        return pb.CleanupSessionResponse(success=self.sessions.pop(request.session_id, None) is not None)

    def GetSession(self, request: Any, context: Any) -> pb.GetSessionResponse:
        variables = self._variables(request, context)
        return pb.GetSessionResponse(session_id=request.session_id, variable_count=len(variables))

    def Heartbeat(self, request: Any, context: Any) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse(session_valid=request.session_id in self.sessions)

    def GetVariable(self, request: Any, context: Any) -> pb.GetVariableResponse:
        return pb.GetVariableResponse(variable=self._variable(request, context))

    def SetVariable(self, request: Any, context: Any) -> pb.SetVariableResponse:
        variable = self._variable(request, context)
        if request.expected_version not in (0, variable.version):
            context.abort(grpc.StatusCode.ABORTED, f"version mismatch: current is {variable.version}")
        self._store(variable, request.value, request.binary_value)
        return pb.SetVariableResponse(success=True, new_version=variable.version)

    def GetVariables(self, request: Any, context: Any) -> pb.BatchGetVariablesResponse:
        variables = self._variables(request, context)
        names = request.variable_identifiers
        return pb.BatchGetVariablesResponse(
            variables={name: variables[name] for name in names if name in variables},
            missing_variables=[name for name in names if name not in variables],
        )

    def SetVariables(self, request: Any, context: Any) -> pb.BatchSetVariablesResponse:
        assert request.atomic
        variables = self._variables(request, context)
        errors = {}
        for name in request.updates:
            if name not in variables:
                errors[name] = f"Variable not found: {name}"
            elif request.expected_versions.get(name, 0) not in (0, variables[name].version):
                errors[name] = f"version mismatch: current is {variables[name].version}"
        if errors:
            return pb.BatchSetVariablesResponse(success=False, errors=errors)
        for name, value in request.updates.items():
            self._store(variables[name], value, request.binary_updates.get(name, b""))
        versions = {name: variables[name].version for name in request.updates}
        return pb.BatchSetVariablesResponse(success=True, new_versions=versions)

    def RegisterVariable(self, request: Any, context: Any) -> pb.RegisterVariableResponse:
        variables = self._variables(request, context)
        known = variables.get(request.name)
        if known is not None and known.type != request.type:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{request.name} is of type {known.type}")
        if known is None:
            self._ids += 1
            known = pb.Variable(id=f"var_{request.name}_{self._ids}", name=request.name, type=request.type)
            variables[request.name] = known
        known.constraints_json = request.constraints_json
        known.metadata.update(request.metadata)
        self._store(known, request.initial_value, request.initial_binary_value)
        return pb.RegisterVariableResponse(success=True, variable_id=known.id, version=known.version)

    def ListVariables(self, request: Any, context: Any) -> pb.ListVariablesResponse:
        variables = self._variables(request, context)
        names = sorted(
            n for n in variables if fnmatchcase(n, request.pattern or "*") and n > request.page_token
        )
        # Pages of two, to see that they are followed.
        more = names[1] if len(names) > 2 else ""
        return pb.ListVariablesResponse(variables=[variables[n] for n in names[:2]], next_page_token=more)

    def DeleteVariable(self, request: Any, context: Any) -> pb.DeleteVariableResponse:
        self._variable(request, context)
        del self.sessions[request.session_id][request.variable_identifier]
        return pb.DeleteVariableResponse(success=True)

    def ExecuteTool(self, request: Any, context: Any) -> pb.ExecuteToolResponse:
        return self.tools[request.tool_name](request)

    @staticmethod
    def _store(variable: pb.Variable, value: Any, payload: bytes) -> None:
        variable.value.CopyFrom(value)
        variable.binary_value = payload
        variable.version += 1
