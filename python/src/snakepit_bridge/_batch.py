"""Several variables in one request, with the values as their variables' types have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.any_pb2 import Any as WireAny

from snakepit._proto import snakepit_bridge_pb2 as pb
from snakepit_bridge import _wire
from snakepit_bridge._cache import Cache
from snakepit_bridge.types import TypeValidator

_Wire = tuple[WireAny, bytes | None]
_NOT_APPLIED: Final = "not applied: another update of the batch was refused"


class Batch:
    """Sends a batch, and once more what needed another type than the value's own."""

    def __init__(self, ask: Callable[[str, Any], Any], cache: Cache, session_id: str) -> None:
        self._ask = ask
        self._cache = cache
        self._session_id = session_id

    def set(
        self, updates: Mapping[str, Any], atomic: bool, metadata: Mapping[str, str]
    ) -> dict[str, bool | str]:
        """For each identifier True, or what refused it."""
        encoded: dict[str, _Wire] = {}
        errors: dict[str, str] = {}
        for name, value in updates.items():
            try:
                encoded[name] = self._encode(name, value)
            except ValueError as error:
                errors[name] = str(error)
        if errors and atomic:
            return {name: errors.get(name, _NOT_APPLIED) for name in updates}
        refused = self._send(encoded, atomic, metadata)
        again = self._converted(updates, encoded, refused)
        if again:
            sent = {**encoded, **again} if atomic else again
            refused = {name: why for name, why in refused.items() if name not in sent}
            refused |= self._send(sent, atomic, metadata)
        errors |= refused
        if not errors:
            return dict.fromkeys(updates, True)
        return {name: errors.get(name, _NOT_APPLIED if atomic else True) for name in updates}

    def _encode(self, name: str, value: Any) -> _Wire:
        kind = self._cache.type_of(name)
        return (
            _wire.encode(value) if kind is None else _wire.encode(TypeValidator.validate(value, kind), kind)
        )

    def _send(
        self, encoded: Mapping[str, _Wire], atomic: bool, metadata: Mapping[str, str]
    ) -> dict[str, str]:
        """What was refused."""
        if not encoded:
            return {}
        request = pb.BatchSetVariablesRequest(session_id=self._session_id, atomic=atomic, metadata=metadata)
        for name, (value, payload) in encoded.items():
            request.updates[name].CopyFrom(value)
            if payload is not None:
                request.binary_updates[name] = payload
        answer = self._ask("SetVariables", request)
        if not answer.success and not answer.errors:
            return dict.fromkeys(encoded, "refused without a reason")
        return dict(answer.errors)

    def _converted(
        self, updates: Mapping[str, Any], encoded: Mapping[str, _Wire], refused: Mapping[str, str]
    ) -> dict[str, _Wire]:
        """Those of the refused that come out otherwise as their variables' types have them."""
        kinds = self._kinds(
            [name for name in refused if name in encoded and self._cache.type_of(name) is None]
        )
        found: dict[str, _Wire] = {}
        for name, kind in kinds.items():
            try:
                other = _wire.encode(TypeValidator.validate(updates[name], kind), kind)
            except ValueError:
                continue
            if other != encoded[name]:
                found[name] = other
        return found

    def _kinds(self, names: Iterable[str]) -> dict[str, str]:
        wanted = list(names)
        if not wanted:
            return {}
        request = pb.BatchGetVariablesRequest(session_id=self._session_id, variable_identifiers=wanted)
        answer = self._ask("GetVariables", request)
        for name, variable in answer.variables.items():
            self._cache.know_type(name, variable.type)
        return {name: variable.type for name, variable in answer.variables.items()}
