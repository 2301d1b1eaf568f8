"""A session's variables as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snakepit.errors import VariableNotFoundError

if TYPE_CHECKING:
    from snakepit._session import Session


class Attributes:
    """``session.v.x`` is ``session["x"]``: read, set (registered where it is missing) and deleted."""

    __slots__ = ("__session",)

    def __init__(self, session: Session) -> None:
        object.__setattr__(self, "_Attributes__session", session)

    def __getattr__(self, name: str) -> Any:
        # Python looks for these by itself, for example to copy.
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        try:
            return self.__session[name]
        except VariableNotFoundError as error:
            raise AttributeError(f"there is no variable {name}") from error

    def __setattr__(self, name: str, value: Any) -> None:
        self.__session[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self.__session[name]
        except VariableNotFoundError as error:
            raise AttributeError(f"there is no variable {name}") from error

    def __dir__(self) -> list[str]:
        return list(self.__session)

    def __repr__(self) -> str:
        return f"{self.__session!r}.v"
