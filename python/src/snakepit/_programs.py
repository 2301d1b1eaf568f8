"""Programs, as mappings: of a session, or of the whole cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from snakepit._ops import programs
from snakepit._ops.programs import Program
from snakepit._scope import Scope
from snakepit._sender import AsyncSender, Sender
from snakepit.errors import ProgramNotFoundError


class Programs:
    """Named documents. Those of a session end with it, those of the cluster `ttl_s` after their last change.

    A mapping from ids to values; `put` and `program` know versions and metadata too.
    """

    __slots__ = ("_scope", "_sender")

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    def get(self, program_id: str, default: Any = programs.UNSET) -> Any:
        """The value; `default` where the program is missing and a default is given."""
        return self._sender.run(programs.get(self._scope, program_id, default))

    def program(self, program_id: str) -> Program:
        """The program with its version, times and metadata."""
        return self._sender.send(programs.program(self._scope, program_id))

    def put(
        self,
        program_id: str,
        value: Any,
        *,
        metadata: Mapping[str, str] | None = None,
        expected_version: int = 0,
        ttl_s: int = 0,
    ) -> int:
        """Make or replace a program; returns its version. `ttl_s` is for those of the cluster (0: an hour).

        With `expected_version` it is compare-and-set: raises Conflict where that is not the current one.
        """
        return self._sender.send(
            programs.put(
                self._scope,
                program_id,
                value,
                metadata=metadata,
                expected_version=expected_version,
                ttl_s=ttl_s,
            )
        )

    def list(self, pattern: str = "") -> Iterator[Program]:
        """Those whose whole id matches the glob, in the order of ids, asked for as they are read."""
        return self._sender.pages(programs.listed(self._scope, pattern))

    def delete(self, program_id: str) -> bool:
        """Delete a program; False where it was not there."""
        return self._sender.send(programs.delete(self._scope, program_id))

    def exists(self, program_id: str) -> bool:
        """Whether there is one of that id."""
        return self._sender.run(programs.exists(self._scope, program_id))

    def __getitem__(self, program_id: str) -> Any:
        return self.get(program_id)

    def __setitem__(self, program_id: str, value: Any) -> None:
        self.put(program_id, value)

    def __delitem__(self, program_id: str) -> None:
        if not self.delete(program_id):
            raise ProgramNotFoundError(f"Program not found: {program_id}")

    def __contains__(self, program_id: object) -> bool:
        return isinstance(program_id, str) and self.exists(program_id)

    def __iter__(self) -> Iterator[str]:
        return (program.id for program in self.list())

    def __len__(self) -> int:
        return sum(1 for _ in self.list())


class AsyncPrograms:
    """The same for asyncio, by methods; see `Programs`."""

    __slots__ = ("_scope", "_sender")

    def __init__(self, sender: AsyncSender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    async def get(self, program_id: str, default: Any = programs.UNSET) -> Any:
        """The value; `default` where the program is missing and a default is given."""
        return await self._sender.run(programs.get(self._scope, program_id, default))

    async def program(self, program_id: str) -> Program:
        """The program with its version, times and metadata."""
        return await self._sender.send(programs.program(self._scope, program_id))

    async def put(
        self,
        program_id: str,
        value: Any,
        *,
        metadata: Mapping[str, str] | None = None,
        expected_version: int = 0,
        ttl_s: int = 0,
    ) -> int:
        """Make or replace a program; returns its version."""
        return await self._sender.send(
            programs.put(
                self._scope,
                program_id,
                value,
                metadata=metadata,
                expected_version=expected_version,
                ttl_s=ttl_s,
            )
        )

    def list(self, pattern: str = "") -> AsyncIterator[Program]:
        """Those whose whole id matches the glob, in the order of ids, asked for as they are read."""
        return self._sender.pages(programs.listed(self._scope, pattern))

    async def delete(self, program_id: str) -> bool:
        """Delete a program; False where it was not there."""
        return await self._sender.send(programs.delete(self._scope, program_id))

    async def exists(self, program_id: str) -> bool:
        """Whether there is one of that id."""
        return await self._sender.run(programs.exists(self._scope, program_id))

    async def __aiter__(self) -> AsyncIterator[str]:
        async for program in self.list():
            yield program.id
