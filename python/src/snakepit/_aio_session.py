"""A session's state, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, overload

from snakepit._change import Version
from snakepit._codec import Codec
from snakepit._document import Document
from snakepit._methods import AsyncTransport, Metadata
from snakepit._ops import batches, exchange, history, locks, relations, sessions, variables
from snakepit._ops.batches import Versions
from snakepit._ops.locks import Held
from snakepit._ops.sessions import SessionInfo
from snakepit._ops.watches import WatchState
from snakepit._optimization import AsyncOptimization
from snakepit._programs import AsyncPrograms
from snakepit._scope import Scope
from snakepit._scope import consistency as _consistency
from snakepit._sender import AsyncSender
from snakepit._variable import Registered, Variable
from snakepit._watch import AsyncWatch


class AsyncSession:
    """A session and its typed variables, for asyncio: the methods of `Session`, to be awaited.

    Lists, histories and watches are async iterators; there are no mappings and attributes, for those cannot
    wait. Functions given to `update` may be coroutine functions.
    """

    __slots__ = ("_id", "_scope", "_sender")

    def __init__(
        self,
        transport: AsyncTransport,
        session_id: str,
        *,
        codec: Codec | None = None,
        metadata: Metadata = (),
        timeout_s: float | None = None,
    ) -> None:
        self._id = session_id
        self._scope = Scope(session_id, codec or Codec(), metadata)
        self._sender = AsyncSender(transport, timeout_s)

    @property
    def id(self) -> str:
        """The session's id. Raises Invalid where the call that runs here names no session."""
        return self._scope.id

    @property
    def programs(self) -> AsyncPrograms:
        """The session's named documents."""
        self._scope.id  # noqa: B018
        return AsyncPrograms(self._sender, self._scope)

    def with_options(self, *, timeout_s: float | None = None, consistency: str = "") -> AsyncSession:
        """The same session with another budget for each call, or other reads.

        `consistency` is linearizable, lease or stale; stale reads are answered by any node from what it has.
        """
        return AsyncSession(
            self._sender.transport,
            self._id,
            codec=self._scope.codec,
            metadata=self._scope.at(_consistency(consistency)).metadata,
            timeout_s=self._sender.timeout_s if timeout_s is None else timeout_s,
        )

    # --- one variable ---

    async def get(self, name: str, default: Any = variables.UNSET) -> Any:
        """The value; `default` where the variable is missing and a default is given."""
        return await self._sender.run(variables.get(self._scope, name, default))

    async def variable(self, name: str, *, bypass_cache: bool = False) -> Variable:
        """The variable with its version, type, metadata, rules, dependencies and lock."""
        return await self._sender.send(variables.variable(self._scope, name, bypass_cache=bypass_cache))

    async def set(
        self, name: str, value: Any, *, expected_version: int = 0, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Set a registered variable; returns its new version.

        With `expected_version` it is compare-and-set: raises Conflict where that is not the current one.
        """
        return await self._sender.send(
            variables.set_value(
                self._scope, name, value, expected_version=expected_version, metadata=metadata
            )
        )

    async def put(self, name: str, value: Any) -> int:
        """Set a variable, and register it first where it is missing; returns its version."""
        return await self._sender.run(variables.put(self._scope, name, value))

    async def register(
        self,
        name: str,
        value: Any,
        type: str = "",  # noqa: A002
        *,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        access: Mapping[str, Any] | None = None,
    ) -> Registered:
        """Make a variable of `type`, which is inferred from the value where empty (a tensor for an array).

        Where the name exists with the same type, value, constraints and metadata are replaced, and the rules
        where `access` is given; with another type, raises AlreadyExists. `access` says who may read, write
        and watch it: ``{"write": {"principals": ["alice"], "tools": ["train"]}}``.
        """
        return await self._sender.send(
            variables.register(
                self._scope, name, value, type, constraints=constraints, metadata=metadata, access=access
            )
        )

    async def delete(self, name: str) -> None:
        """Delete a variable. Raises Refused where another one requires it."""
        await self._sender.send(variables.delete(self._scope, name))

    async def exists(self, name: str) -> bool:
        """Whether there is such a variable, that the caller may read."""
        return await self._sender.run(variables.exists(self._scope, name))

    async def change(
        self,
        name: str,
        function: Callable[[Any], Any],
        *,
        attempts: int = 16,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        """Read, apply `function`, and write back unless another wrote meanwhile, else again.

        Returns the new value. Raises Conflict after `attempts` rounds. `function` may run several times.
        """
        return await self._sender.run(
            variables.change(self._scope, name, function, attempts=attempts, metadata=metadata)
        )

    # --- several ---

    @overload
    async def get_many(self, *names: str, include_metadata: Literal[False] = False) -> dict[str, Any]: ...
    @overload
    async def get_many(self, *names: str, include_metadata: Literal[True]) -> dict[str, Variable]: ...
    async def get_many(self, *names: str, include_metadata: bool = False) -> dict[str, Any]:
        """The values of all `names`, read at one moment; whole variables with `include_metadata`.

        Raises VariableNotFoundError naming all that are missing.
        """
        found = batches.get_many(self._scope, names, include_metadata=include_metadata)
        return await self._sender.send(found if include_metadata else batches.values(found))

    @overload
    async def update(
        self,
        values: Mapping[str, Any],
        /,
        *,
        atomic: bool = True,
        expected_versions: Mapping[str, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Versions: ...
    @overload
    async def update(
        self,
        name: str,
        function: Callable[[Any], Any],
        /,
        *,
        attempts: int = 16,
        metadata: Mapping[str, str] | None = None,
    ) -> Any: ...
    async def update(
        self,
        values: Mapping[str, Any] | str,
        function: Callable[[Any], Any] | None = None,
        /,
        *,
        atomic: bool = True,
        expected_versions: Mapping[str, int] | None = None,
        attempts: int = 16,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        """Set several registered variables in one request, or `change` one by a function.

        ``update({"x": 1, "y": 2})`` sets all or none and returns their new versions; where one is refused,
        raises what setting it alone would raise. With ``atomic=False`` those that can be set are, and
        `errors` of what is returned says what was refused. ``update("x", function)`` is `change`.
        """
        if isinstance(values, str):
            if function is None:
                raise TypeError("update of one variable takes a function; use set for a value")
            return await self.change(values, function, attempts=attempts, metadata=metadata)
        return await self._sender.send(
            batches.update(
                self._scope,
                values,
                atomic=atomic,
                expected_versions=expected_versions,
                metadata=metadata,
            )
        )

    async def list_variables(self, pattern: str = "") -> list[Variable]:
        """All variables whose whole name matches the glob (`*` and `?`; all where empty), by name."""
        return await self._sender.run(variables.every(self._scope, pattern))

    def iter_variables(
        self, pattern: str = "", *, page_size: int = variables.PAGE
    ) -> AsyncIterator[Variable]:
        """The same, `page_size` at a time, asked for as they are read."""
        return self._sender.pages(variables.listed(self._scope, pattern, page_size=page_size))

    async def names(self, pattern: str = "") -> list[str]:
        """The names of all variables, or of those that match."""
        return [variable.name for variable in await self.list_variables(pattern)]

    # --- what was, and what comes ---

    def history(self, name: str, *, limit: int | None = None, before: int = 0) -> AsyncIterator[Version]:
        """The versions of a variable, the newest first, asked for as they are read.

        At most `limit`, and only those below version `before`.
        """
        return self._sender.pages(history.history(self._scope, name, limit=limit, before=before))

    async def rollback(
        self,
        name: str,
        version: int,
        *,
        expected_version: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> Variable:
        """Give a variable the value that it had at `version`, as a new version; returns the variable.

        Raises Invalid where that value breaks a constraint of today.
        """
        return await self._sender.send(
            history.rollback(self._scope, name, version, expected_version=expected_version, metadata=metadata)
        )

    def watch(self, *names: str, initial: bool = True, after: int | None = None) -> AsyncWatch:
        """The updates of these variables, or of the whole session; goes on where a node dies.

        With `initial` the values of one moment come first, then every change after it. `after` takes a watch
        up again behind the `position` of an update, without initial values.
        """
        return AsyncWatch(self._sender, WatchState(self._scope, names, initial=initial, after=after))

    # --- dependencies and access ---

    async def depend(self, name: str, on: str, kind: str = "derives") -> None:
        """Note that `name` depends on another variable.

        `kind`: derives (its value comes from the other's), requires (the other cannot be deleted while this
        one is there) or relates. Raises Refused where that would close a cycle.
        """
        await self._sender.send(relations.depend(self._scope, name, on, kind))

    async def undepend(self, name: str, on: str) -> bool:
        """Forget a dependency; False where there was none."""
        return await self._sender.send(relations.undepend(self._scope, name, on))

    async def set_access(self, name: str, rules: Mapping[str, Any] | None) -> None:
        """Say who may read, write and watch a variable; None or {} lifts all restrictions."""
        await self._sender.send(relations.set_access(self._scope, name, rules))

    # --- optimizations ---

    def optimize(
        self,
        name: str,
        *,
        optimizer_id: str = "",
        lease_s: float = 0,
        config: Mapping[str, str] | None = None,
    ) -> AsyncOptimization:
        """A lock on a variable while the block runs: only `set` of what `async with` gives may write it.

        It ends `lease_s` after the last write or `renew` (30 s where 0), or with the block.
        """
        asked = locks.ask(self._scope, name, optimizer_id=optimizer_id, lease_s=lease_s, config=config)
        return AsyncOptimization(self._sender, asked)

    async def start_optimization(
        self,
        name: str,
        *,
        optimizer_id: str,
        lease_s: float = 0,
        config: Mapping[str, str] | None = None,
    ) -> Held:
        """Lock a variable, or renew the lock of this optimizer, and leave it so; `optimize` is safer."""
        return await self._sender.send(
            locks.start(self._scope, name, optimizer_id, lease_s=lease_s, config=config)
        )

    async def stop_optimization(self, name: str, optimization_id: str = "", *, force: bool = False) -> Any:
        """Unlock a variable, by its optimization's id, as who started it, or by force; returns its value."""
        return await self._sender.send(locks.stop(self._scope, name, optimization_id, force=force))

    # --- the session itself ---

    async def info(self) -> SessionInfo:
        """The session's own data."""
        return await self._sender.send(sessions.info(self._scope))

    async def touch(self) -> bool:
        """Extend the session's life; False where it is gone."""
        return await self._sender.send(sessions.touch(self._scope))

    async def export(self) -> Document:
        """The session as it is at one moment, as plain JSON; see `snakepit.write_document`.

        `Client.import_session` makes a new session of it.
        """
        return await self._sender.send(exchange.export(self._scope))

    async def close(self, *, force: bool = False) -> bool:
        """End the session and all that is in it; False where it was gone already.

        Without `force`, raises Refused while another's optimization holds one of its variables.
        """
        return await self._sender.send(sessions.close(self._scope, force=force))

    async def delete_session(self) -> bool:
        """`close` by force."""
        return await self.close(force=True)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for variable in self.iter_variables():
            yield variable.name

    def __repr__(self) -> str:
        return f"AsyncSession({self._id!r})"
