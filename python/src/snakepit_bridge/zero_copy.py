"""References to data that stays where it is. They name it; nothing here can read what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KEY: Final = "__snakepit_zero_copy__"
_FIELDS: Final = ("kind", "dtype", "shape", "device", "owner", "ref", "bytes", "copy")


@dataclass(frozen=True)
class ZeroCopyRef:
    """A reference; on the wire a map that has `__snakepit_zero_copy__`."""

    kind: str = ""
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    device: str | None = None
    owner: str | None = None
    ref: Any = None
    bytes: int | None = None
    copy: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def is_ref(value: Any) -> bool:
        """Whether a value from the wire is a reference."""
        return isinstance(value, Mapping) and bool(value.get(KEY))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ZeroCopyRef:
        """The reference in a map. Raises ValueError where it is none."""
        if not cls.is_ref(value):
            raise ValueError("the map is no zero-copy reference")
        named: dict[str, Any] = {name: value[name] for name in _FIELDS if name in value}
        if isinstance(named.get("shape"), list):
            named["shape"] = tuple(named["shape"])
        others = {name: item for name, item in value.items() if name not in (*_FIELDS, KEY)}
        return cls(**named, metadata=others)

    def to_dict(self) -> dict[str, Any]:
        """As the wire has it."""
        found: dict[str, Any] = {KEY: True}
        for name in _FIELDS:
            value = getattr(self, name)
            if value is not None:
                found[name] = list(value) if name == "shape" else value
        return found | dict(self.metadata)
