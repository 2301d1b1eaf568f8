"""Why an export does not verify."""

from __future__ import annotations

from typing import Final

AGAIN: Final = "the export was changed or is damaged: get it again, and keep this one"


class Fault(Exception):
    """Something is not as it was logged, at that position where it has one."""

    def __init__(self, message: str, hint: str = AGAIN, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position


class Unusable(Exception):
    """The command cannot do its work: wrong arguments, files that cannot be read."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
