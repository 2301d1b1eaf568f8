"""Finds an adapter's tools and makes the instances that serve them."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from snakepit._proto.snakepit_bridge_pb2 import ToolSpec
from snakepit._tool import list_parameters, metadata_of, session_parameter, tool_spec
from snakepit.errors import Invalid, NotFound
from snakepit.worker._settings import Concurrency, Instance

# The tool of an adapter that dispatches by itself; its spec's metadata says that it takes every name.
EXECUTE_TOOL: Final = "execute_tool"
# Has every result written as an old Snakepit did; see docs/compatibility.md.
LEGACY_RESULTS: Final = "SNAKEPIT_LEGACY_RESULTS"
_BRIDGE_MARKS: Final = ("register_with_session", "register_with_session_async", "set_session_context")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool: the function, unbound where the adapter is a class, and how it wants to be called."""

    function: Callable[..., Any]
    # Its name in the class, through which an instance binds it.
    attribute: str
    is_async: bool
    thread_sensitive: bool
    session_parameter: str | None
    # Parameters that are annotated as lists: an array comes as one.
    listed: frozenset[str]
    # Takes tool_name, arguments and context in place of the arguments themselves.
    dispatches: bool = False


class Host:
    """An adapter, loaded: a class or a module."""

    def __init__(self, source: type | ModuleType, *, instance: Instance | None, slots: int) -> None:
        self.source = source
        self.is_class = isinstance(source, type)
        self.entries, self.specs = _find_tools(source)
        self._dispatcher = self.entries.get(EXECUTE_TOOL) if self.is_class else None
        if self._dispatcher is not None and not self._dispatcher.dispatches:
            self._dispatcher = None
        if not self.entries:
            raise Invalid(
                f"{_name(source)} has no tools", hint="decorate functions with @tool, or define execute_tool"
            )
        # A module lives as long as the process.
        wanted = instance or getattr(source, "instance", "request") if self.is_class else "worker"
        self.per_worker = wanted == "worker"
        self.sets_session = hasattr(source, "set_session_context")
        self.is_bridge = self._dispatcher is not None or _is_bridge(source, self.entries)
        if self.is_class and self.per_worker and self.sets_session and slots > 1:
            raise Invalid(
                f"{_name(source)} keeps the session on itself (set_session_context), which one instance "
                f"cannot do for {slots} calls at once",
                hint="take one instance per request, or one slot",
            )

    @property
    def name(self) -> str:
        """The path of the class or the module."""
        return _name(self.source)

    def require_thread_safe(self) -> None:
        """Raises Invalid where the adapter says it is not; one of Snakepit's kind must say that it is."""
        said = getattr(self.source, "__thread_safe__", None)
        if said is not None and not said:
            raise Invalid(
                f"{_name(self.source)} says __thread_safe__ = False and cannot run on threads",
                hint="run it with concurrency process",
            )
        if self.is_bridge and not said:
            raise Invalid(
                f"{_name(self.source)} does not declare __thread_safe__ = True, which threads need",
                hint="declare it where it is so, or run it with concurrency process",
            )

    def find(self, tool: str) -> Entry:
        """The entry that serves a tool. Raises NotFound."""
        if self._dispatcher is not None:
            return self._dispatcher
        entry = self.entries.get(tool)
        if entry is None:
            known = ", ".join(sorted(self.entries))
            raise NotFound(f"tool not found: {tool}", hint=f"{_name(self.source)} has {known}")
        return entry

    def make(self) -> Any:
        """A new instance; the module itself where the adapter is one."""
        return self.source() if isinstance(self.source, type) else self.source


def load(
    path: str, *, instance: Instance | None = None, slots: int = 1, concurrency: Concurrency | None = None
) -> Host:
    """Import an adapter, `pkg.mod.Class` or `pkg.mod`. Raises Invalid where there is none, or it is unfit."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    host = Host(_import(path), instance=instance, slots=slots)
    if concurrency == "thread":
        host.require_thread_safe()
    return host


def preload(path: str) -> None:
    """Import an adapter and keep nothing. Raises Invalid where there is none."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    _import(path)


def _import(path: str) -> type | ModuleType:
    module = _module(path)
    if module is not None:
        return module
    module_path, _, name = path.rpartition(".")
    if not module_path:
        raise Invalid(f"there is no module {path}", hint="give pkg.mod.Class or pkg.mod")
    module = _module(module_path)
    if module is None:
        raise Invalid(f"there is no module {module_path}", hint="give pkg.mod.Class or pkg.mod")
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise Invalid(f"{module_path} has no class {name}", hint="give pkg.mod.Class or pkg.mod")
    return found


def _module(path: str) -> ModuleType | None:
    """A module; None where there is none of that name. What a module itself fails to import is raised."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            return None
        raise


def _find_tools(source: type | ModuleType) -> tuple[dict[str, Entry], list[ToolSpec]]:
    entries: dict[str, Entry] = {}
    specs: list[ToolSpec] = []
    for attribute, function in inspect.getmembers(source, callable):
        marked = metadata_of(function)
        if marked is None:
            continue
        if marked.name in entries:
            raise Invalid(f"{_name(source)} has two tools named {marked.name}")
        entries[marked.name] = _entry(function, attribute, thread_sensitive=marked.thread_sensitive)
        specs.append(tool_spec(function, marked))
    dispatcher = getattr(source, EXECUTE_TOOL, None)
    if isinstance(source, type) and callable(dispatcher) and metadata_of(dispatcher) is None:
        entries[EXECUTE_TOOL] = _entry(dispatcher, EXECUTE_TOOL, dispatches=True)
        specs.append(
            ToolSpec(
                name=EXECUTE_TOOL,
                description="Takes every tool's name.",
                metadata={"dispatch": "any"},
                supports_streaming=True,
            )
        )
    return entries, specs


def _entry(
    function: Callable[..., Any], attribute: str, *, thread_sensitive: bool = False, dispatches: bool = False
) -> Entry:
    plain = inspect.unwrap(function)
    return Entry(
        function=function,
        attribute=attribute,
        is_async=inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain),
        thread_sensitive=thread_sensitive,
        session_parameter=None if dispatches else session_parameter(function),
        listed=frozenset() if dispatches else list_parameters(function),
        dispatches=dispatches,
    )


def _name(source: type | ModuleType) -> str:
    return f"{source.__module__}.{source.__qualname__}" if isinstance(source, type) else source.__name__


def _is_bridge(source: type | ModuleType, entries: dict[str, Entry]) -> bool:
    """Whether it is an adapter of Snakepit's kind, which gets contexts of Snakepit's kind."""
    return (
        any(hasattr(source, name) for name in (*_BRIDGE_MARKS, "legacy_results"))
        or any(hasattr(entry.function, "_tool_metadata") for entry in entries.values())
        or bool(os.environ.get(LEGACY_RESULTS))
    )
