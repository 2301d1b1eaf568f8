"""What tools yield, and a tool as an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StreamChunk:
    """One piece of a stream."""

    data: Any
    is_final: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As a dict."""
        return {"data": self.data, "is_final": self.is_final}


class Tool:
    """A function with its description, for adapters that keep a table of them."""

    def __init__(
        self, function: Callable[..., Any], *, name: str = "", description: str = "", streaming: bool = False
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.description = description or (function.__doc__ or "").partition("\n")[0]
        self.supports_streaming = streaming

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the function."""
        return self.function(*arguments, **named)
