"""Adapters as they were written for Snakepit 0.4: a class with `execute_tool`, variables in the context."""

from __future__ import annotations

from typing import Any

import snakepit_bridge_pb2
import snakepit_bridge_pb2_grpc
from snakepit_bridge import SessionContext, VariableNotFoundError
from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter import BaseAdapter, tool

LOG: list[str] = []


class Thermostat:
    """A plain class, with everything that the old server asked of one."""

    def __init__(self) -> None:
        self.session_context: SessionContext | None = None
        self.initialized = False

    def set_session_context(self, session_context: SessionContext) -> None:
        self.session_context = session_context

    def register_with_session(self, session_id: str, stub: Any) -> list[str]:
        request = snakepit_bridge_pb2.RegisterToolsRequest(
            session_id=session_id,
            tools=[snakepit_bridge_pb2.ToolRegistration(name="heat", description="Heat the room")],
            worker_id=f"python-{id(self)}",
        )
        answer = stub.RegisterTools(request)
        LOG.append(f"registered {session_id}")
        return list(answer.tool_ids)

    async def initialize(self) -> None:
        self.initialized = True

    async def cleanup(self) -> None:
        LOG.append("cleanup")

    def execute_tool(self, tool_name: str, arguments: dict[str, Any], context: Any) -> Any:
        assert self.initialized
        assert context is self.session_context
        handler = getattr(self, f"do_{tool_name}", None)
        if handler is None:
            raise ValueError(f"Unknown tool: {tool_name}")
        return handler(context, **arguments)

    def do_heat(self, ctx: SessionContext, to: float) -> dict[str, Any]:
        if "temperature" not in ctx:
            ctx.register_variable("temperature", "float", 18.0, constraints={"min": 5.0, "max": 30.0})
        ctx["temperature"] = to
        ctx.v.heated = True
        return {"temperature": ctx["temperature"], "heated": ctx.v.heated, "session": ctx.session_id}

    def do_missing(self, ctx: SessionContext) -> str:
        try:
            return str(ctx["nothing"])
        except VariableNotFoundError as error:
            return f"caught: {error}"

    def do_batch(self, ctx: SessionContext) -> list[Any]:
        ctx["a"], ctx["b"] = 1, [1, 2]
        with ctx.batch_updates() as batch:
            batch["a"] = 2
            batch["b"] = [3]
        values = ctx.get_variables(["a", "b"])
        return [values["a"], values["b"], ctx.variable("a").value]

    def do_tools(self, ctx: SessionContext) -> list[Any]:
        proxy = ctx.elixir_tools["multiply"]
        return [proxy(a=2, b=3), ctx.call_elixir_tool("multiply", a=4, b=5), proxy["description"]]

    def do_stream(self, ctx: SessionContext, count: int) -> Any:
        for number in range(count):
            yield StreamChunk({"n": number}, is_final=number == count - 1)

    def do_values(self, ctx: SessionContext) -> dict[str, Any]:
        return {"none": None, "int": 2**70, "tuple": (1, 2), "bytes": b"\0x"}

    def do_raw_stub(self, ctx: SessionContext) -> Any:
        request = snakepit_bridge_pb2.GetVariableRequest(
            session_id=ctx.session_id, variable_identifier="nothing"
        )
        import grpc

        try:
            ctx.stub.GetVariable(request)
        except grpc.RpcError as error:
            return [error.code().name, error.details()]
        return None

    def do_log(self, ctx: SessionContext) -> list[str]:
        return list(LOG)

    def do_metadata(self, ctx: SessionContext) -> dict[str, str]:
        return ctx.request_metadata

    def do_argument(self, ctx: SessionContext, value: Any) -> Any:
        return value

    def do_late(self, ctx: SessionContext) -> None:
        import time

        time.sleep(30)


class OldTools(BaseAdapter):
    """With the decorator, dispatching by `call_tool`, as the showcase did."""

    @tool(description="Add two numbers")
    def add(self, a: float, b: float = 1) -> float:
        return a + b

    @tool(description="Count", supports_streaming=True)
    def count(self, to: int) -> Any:
        yield from ({"n": n} for n in range(to))

    def execute_tool(self, tool_name: str, arguments: dict[str, Any], context: Any) -> Any:
        return self.call_tool(tool_name, **arguments)


STUB = snakepit_bridge_pb2_grpc.BridgeServiceStub
