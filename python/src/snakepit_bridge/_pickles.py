"""Pickles of old clients, read without running anything: lists, tuples and numbers, and nothing else.

Not `pickle.Unpickler`: with no class to find it is still told by its input how much memory to take.
"""

from __future__ import annotations

import os
import pickletools
from typing import Any, Final

from snakepit.errors import Invalid

ALLOW: Final = "SNAKEPIT_ALLOW_PICKLE"
DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 1 << 24
_MARK: Final = object()
_NUMBERS: Final = frozenset(
    ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
)
_CONSTANTS: Final = {"NEWTRUE": True, "NEWFALSE": False}
_SKIPPED: Final = frozenset(("PROTO", "FRAME"))
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def allowed() -> bool:
    """Whether the environment allows pickles of numbers."""
    return os.environ.get(ALLOW, "").lower() in ("1", "true", "yes")


def loads(data: bytes) -> Any:
    """The lists and numbers of a pickle; tuples become lists.

    Raises Invalid where pickles are not allowed, or anything else is in it.
    """
    if not allowed():
        raise Invalid(f"a pickle is not read here, for it can run code; {ALLOW}=1 allows lists and numbers")
    try:
        found = _Reader().read(data)
    except Invalid:
        raise
    except Exception as error:
        raise Invalid(f"a pickle cannot be read: {error}") from error
    return _Copy().checked(found)


class _Reader:
    """The stack machine, as far as it is needed."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        """Run all operations."""
        for operation, argument, _ in pickletools.genops(data):
            name = operation.name
            if name == "STOP":
                break
            self._do(name, argument)
        if len(self._stack) != 1:
            raise Invalid("a pickle does not end with one value")
        return self._stack[0]

    def _do(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _NUMBERS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append([])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "APPEND":
            item = stack.pop()
            self._list().append(item)
        elif name == "APPENDS":
            items = self._to_mark()
            self._list().extend(items)
        elif name in ("LIST", "TUPLE"):
            stack.append(self._to_mark())
        elif name in _TUPLES:
            items = stack[-_TUPLES[name] :]
            del stack[-_TUPLES[name] :]
            stack.append(items)
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[int(argument)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[int(argument)])
        elif name not in _SKIPPED:
            raise Invalid(f"a pickle has {name}; only lists and numbers are read from pickles")

    def _list(self) -> list[Any]:
        found = self._stack[-1]
        if not isinstance(found, list):
            raise Invalid("a pickle appends to what is no list")
        return found

    def _to_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise Invalid("a pickle has no mark where it needs one")
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items


class _Copy:
    """What was read, without sharing: a list may hold itself, or another a billion times."""

    def __init__(self) -> None:
        # How many elements each list would be without sharing, by its identity; 0 while it is counted.
        self._sizes: dict[int, int] = {}

    def checked(self, found: Any) -> Any:
        """A copy of it. Raises Invalid where it is too large or too deep."""
        if self._size(found, DEPTH_MAX) > ELEMENTS_MAX:
            raise Invalid(f"a pickle has more than {ELEMENTS_MAX} elements")
        return self._of(found)

    def _size(self, found: Any, depth: int) -> int:
        if isinstance(found, (bool, int, float)):
            return 1
        if not isinstance(found, list):
            raise Invalid(f"a pickle holds a {type(found).__name__}; only lists and numbers are read")
        if not depth:
            raise Invalid(f"a pickle is nested more than {DEPTH_MAX} deep")
        known = self._sizes.get(id(found))
        if known == 0:
            raise Invalid("a pickle holds a list that contains itself")
        if known is None:
            self._sizes[id(found)] = 0
            known = 1 + sum(self._size(item, depth - 1) for item in found)
            self._sizes[id(found)] = known
        return known

    def _of(self, found: Any) -> Any:
        return [self._of(item) for item in found] if isinstance(found, list) else found
