"""An in-memory node of the bridge for the tests of `snakepit_bridge`: types, constraints, sessions, tools.

Wrong as a node in everything that those tests do not look at.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from fnmatch import fnmatchcase
from typing import Any

import grpc

from snakepit import _values
from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit._proto import snakepit_bridge_pb2_grpc as service

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "float": (int, float),
    "integer": (int,),
    "string": (str, bool),
    "boolean": (bool,),
    "choice": (str,),
    "map": (dict,),
    "list": (list,),
    "null": (type(None),),
    "bytes": (bytes,),
    "embedding": (list,),
    "tensor": (dict,),
}
Refusal = tuple[grpc.StatusCode, str]


# To type checkers its methods are abstract; here, what is missing answers UNIMPLEMENTED.
_Servicer: Any = service.BridgeServiceServicer


class BridgeServer(_Servicer):  # type: ignore[misc]
    """Serves on a port of its own until `close`. `calls` counts, `metadata` keeps what came last."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, pb.Variable]] = {"s1": {}}
        self.calls: Counter[str] = Counter()
        self.metadata: dict[str, dict[str, str]] = {}
        self.requests: dict[str, Any] = {}
        self.tools: dict[str, Callable[..., Any]] = {}
        self.fail: dict[str, Refusal] = {}
        self.tokens: list[str] = []
        self._ids = 0
        self._lock = threading.RLock()
        self._server = grpc.server(futures.ThreadPoolExecutor(8), interceptors=[_Counting(self)])
        service.add_BridgeServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.stop(None).wait()

    def handlers(self) -> Any:
        """For another server, of which nothing is counted."""
        kept: list[Any] = []

        class Taker:
            def add_generic_rpc_handlers(self, handlers: Any) -> None:
                kept.extend(handlers)

            def add_registered_method_handlers(self, *_: Any) -> None:
                pass

        service.add_BridgeServiceServicer_to_server(self, Taker())  # type: ignore[arg-type]
        return kept[0]

    # --- sessions ---

    def Ping(self, request: Any, context: Any) -> Any:
        return pb.PingResponse(message=f"pong: {request.message}")

    def InitializeSession(self, request: Any, context: Any) -> Any:
        self.sessions.setdefault(request.session_id, {})
        return pb.InitializeSessionResponse(success=True)

    def CleanupSession(self, request: Any, context: Any) -> Any:
        return pb.CleanupSessionResponse(
            success=True, resources_cleaned=int(self.sessions.pop(request.session_id, None) is not None)
        )

    def Heartbeat(self, request: Any, context: Any) -> Any:
        return pb.HeartbeatResponse(session_valid=request.session_id in self.sessions)

    # --- variables ---

    def RegisterVariable(self, request: Any, context: Any) -> Any:
        with self._lock:
            variables = self._variables(request, context)
            if request.type not in _JSON_TYPES:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unknown type: {request.type}")
            self._ids += 1
            made = variables.get(request.name) or pb.Variable(
                id=f"var_{request.name}_{self._ids}", name=request.name, type=request.type
            )
            made.constraints_json = request.constraints_json
            made.metadata.update(request.metadata)
            refused = _store(made, request.initial_value, request.initial_binary_value)
            if refused:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, refused)
            variables[request.name] = made
            return pb.RegisterVariableResponse(success=True, variable_id=made.id, version=made.version)

    def GetVariable(self, request: Any, context: Any) -> Any:
        return pb.GetVariableResponse(variable=self._variable(request, request.variable_identifier, context))

    def SetVariable(self, request: Any, context: Any) -> Any:
        with self._lock:
            variable = self._variable(request, request.variable_identifier, context)
            refused = _store(variable, request.value, request.binary_value)
            if refused:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, refused)
            variable.metadata.update(request.metadata)
            return pb.SetVariableResponse(success=True, new_version=variable.version)

    def GetVariables(self, request: Any, context: Any) -> Any:
        variables = self._variables(request, context)
        answer = pb.BatchGetVariablesResponse()
        for name in request.variable_identifiers:
            found = _find(variables, name)
            if found is None:
                answer.missing_variables.append(name)
            else:
                answer.variables[name].CopyFrom(found)
        return answer

    def SetVariables(self, request: Any, context: Any) -> Any:
        with self._lock:
            variables = self._variables(request, context)
            answer = pb.BatchSetVariablesResponse()
            made: dict[str, pb.Variable] = {}
            for name, value in request.updates.items():
                copy = pb.Variable()
                found = _find(variables, name)
                if found is None:
                    answer.errors[name] = f"Variable not found: {name}"
                    continue
                copy.CopyFrom(found)
                refused = _store(copy, value, request.binary_updates.get(name, b""))
                if refused:
                    answer.errors[name] = refused
                else:
                    made[name] = copy
            if request.atomic and answer.errors:
                made = {}
            for name, copy in made.items():
                variables[copy.name] = copy
                answer.new_versions[name] = copy.version
            answer.success = bool(made) or not answer.errors
            return answer

    def ListVariables(self, request: Any, context: Any) -> Any:
        variables = self._variables(request, context)
        names = [name for name in sorted(variables) if fnmatchcase(name, request.pattern or "*")]
        names = [name for name in names if name > request.page_token]
        # Pages of two, to see that they are followed.
        token = names[1] if len(names) > 2 else ""
        return pb.ListVariablesResponse(
            variables=[variables[name] for name in names[:2]], next_page_token=token
        )

    def DeleteVariable(self, request: Any, context: Any) -> Any:
        variable = self._variable(request, request.variable_identifier, context)
        del self.sessions[request.session_id][variable.name]
        return pb.DeleteVariableResponse(success=True)

    # --- tools ---

    def RegisterTools(self, request: Any, context: Any) -> Any:
        return pb.RegisterToolsResponse(
            success=True, tool_ids={tool.name: f"{request.session_id}:{tool.name}" for tool in request.tools}
        )

    def GetExposedElixirTools(self, request: Any, context: Any) -> Any:
        specs = [
            pb.ToolSpec(name=name, description=f"runs {name}", parameters=[pb.ParameterSpec(name="a")])
            for name in self.tools
        ]
        return pb.GetExposedElixirToolsResponse(tools=specs)

    def ExecuteElixirTool(self, request: Any, context: Any) -> Any:
        return self._run(request, pb.ExecuteElixirToolResponse, {})

    def ExecuteTool(self, request: Any, context: Any) -> Any:
        return self._run(request, pb.ExecuteToolResponse, request.binary_parameters)

    def _run(self, request: Any, answer: Any, payloads: Any) -> Any:
        tool = self.tools.get(request.tool_name)
        if tool is None:
            return answer(error_message=f"Tool {request.tool_name} not found")
        arguments = {k: _values.decode(v, payloads.get(k)) for k, v in request.parameters.items()}
        try:
            value, payload = _values.encode(tool(**arguments))
        except Exception as error:
            return answer(error_message=f"Tool execution failed: {error}")
        return answer(success=True, result=value, binary_result=payload or b"")

    def WatchVariables(self, request: Any, context: Any) -> Iterator[Any]:
        for variable in self._variables(request, context).values():
            yield pb.VariableUpdate(variable_id=variable.id, variable=variable, update_type="initial_value")

    # --- what they share ---

    def _variables(self, request: Any, context: Any) -> dict[str, pb.Variable]:
        self.tokens.append(dict(context.invocation_metadata()).get("x-snakepit-call-token", ""))
        found = self.sessions.get(request.session_id)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Session not found: {request.session_id}")
            raise AssertionError
        return found

    def _variable(self, request: Any, name: str, context: Any) -> pb.Variable:
        found = _find(self._variables(request, context), name)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Variable not found: {name}")
            raise AssertionError
        return found


class _Counting(grpc.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    def __init__(self, server: BridgeServer) -> None:
        self._server = server

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        self._server.calls[name] += 1
        self._server.metadata[name] = dict(details.invocation_metadata)
        handler = continuation(details)
        refusal = self._server.fail.get(name)
        if refusal is not None:

            def refuse(request: Any, context: Any) -> Any:
                context.abort(*refusal)

            return grpc.unary_unary_rpc_method_handler(
                refuse, handler.request_deserializer, handler.response_serializer
            )
        if handler.unary_unary is None:
            return handler

        def keep(request: Any, context: Any) -> Any:
            self._server.requests[name] = request
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            keep, handler.request_deserializer, handler.response_serializer
        )


def _find(variables: dict[str, pb.Variable], identifier: str) -> pb.Variable | None:
    by_id = {variable.id: variable for variable in variables.values()}
    return by_id.get(identifier) or variables.get(identifier)


def _store(variable: pb.Variable, value: Any, payload: bytes) -> str:
    """Set it; or what refuses it."""
    decoded = _values.decode(value, payload or None)
    if variable.type == "float" and isinstance(decoded, str) and decoded in ("NaN", "Infinity"):
        decoded = float(decoded)
    kinds = _JSON_TYPES[variable.type]
    if not isinstance(decoded, kinds) or (isinstance(decoded, bool) and bool not in kinds):
        return {"float": "must be a number", "string": "must be a string"}.get(
            variable.type, f"must be a {variable.type}"
        )
    constraints = json.loads(variable.constraints_json or "{}")
    if variable.type in ("float", "integer"):
        if decoded > constraints.get("max", decoded):
            return f"value {decoded} is above maximum {constraints['max']}"
        if decoded < constraints.get("min", decoded):
            return f"value {decoded} is below minimum {constraints['min']}"
    if variable.type == "string" and not re.search(constraints.get("pattern", ""), str(decoded)):
        return f"must match pattern: {constraints['pattern']}"
    variable.value.CopyFrom(value)
    variable.binary_value = payload
    variable.version += 1
    return ""
