"""What may be served, as a host has it: a path, a module, a class, or functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from snakepit._tool import ATTRIBUTE, metadata_of, tool
from snakepit.errors import Invalid
from snakepit.worker import _host

Source = str | type | ModuleType | Iterable[Callable[..., Any]]


def host_of(source: Source, *, slots: int) -> _host.Host:
    """The host of a source. Raises Invalid where it has no tools, or is unfit for so many slots."""
    if isinstance(source, str):
        host = _host.load(source, slots=slots)
    elif isinstance(source, (type, ModuleType)):
        host = _host.Host(source, instance=None, slots=slots)
    else:
        host = _host.Host(_module_of(source), instance=None, slots=slots)
    if slots > 1:
        host.require_thread_safe()
    return host


def _module_of(functions: Iterable[Callable[..., Any]]) -> ModuleType:
    """A module that has these functions and nothing else."""
    module = ModuleType("functions", "Functions that are served.")
    for function in functions:
        marked = _marked(function)
        name = metadata_of(marked)
        if name is None or hasattr(module, name.name):
            raise Invalid(f"two functions are named {getattr(marked, '__name__', marked)!r}")
        setattr(module, name.name, marked)
    return module


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a tool; one that is none yet is wrapped, and stays as it is."""
    if metadata_of(function) is not None:
        return function
    if not getattr(function, "__name__", "").isidentifier():
        raise Invalid(
            f"{function!r} is no function with a name", hint="define it with def, or mark it with @tool"
        )

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    # `wraps` has copied what marks the function as something else.
    vars(wrapped).pop(ATTRIBUTE, None)
    streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return tool("", supports_streaming=streams)(wrapped)
