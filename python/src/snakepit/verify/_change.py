"""What an event's bytes say, as an export shows it. Raises Damaged where the bytes make no sense."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable
from struct import unpack
from typing import Any, Final

from ._documents import document
from ._reals import Real, reals
from ._schema import NAMES
from ._wire import Damaged, Fields

Show = Callable[[Any], object]
Table = dict[str, tuple[str, Show]]

# Later ones, in milliseconds, have no text.
TIME_MAX_MS: Final = 253_402_207_200_999
DIMENSIONS_MAX: Final = 32
# Elements of arrays: letter of `struct`, size.
DTYPES: Final = {
    "float16": ("e", 2),
    "float32": ("f", 4),
    "float64": ("d", 8),
    "int8": ("b", 1),
    "int16": ("h", 2),
    "int32": ("i", 4),
    "int64": ("q", 8),
    "uint8": ("B", 1),
    "uint16": ("H", 2),
    "uint32": ("I", 4),
    "uint64": ("Q", 8),
    "bool": ("B", 1),
}
# What numbers in JSON are without being told.
PLAIN_DTYPES: Final = frozenset({"float64", "int64"})

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


class _Clock:
    """Seconds as text; events of one second come together."""

    second = -1
    text = ""


def show_time(ms: int) -> str:
    """A time as text."""
    if not 0 < ms <= TIME_MAX_MS:
        return ""
    second, rest = divmod(ms, 1000)
    if second != _Clock.second:
        _Clock.text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _Clock.second = second
    return f"{_Clock.text}.{rest:03d}Z"


def number(value: int) -> bytes:
    """A whole number."""
    return b"%d" % value


def _same(value: object) -> object:
    return value


def _digest(value: bytes) -> str:
    return value.hex()


def _bytes(value: bytes) -> object:
    return {"__snakepit_bytes__": b64encode(value).decode()}


def _journaled(value: bytes) -> object:
    return _bytes(value) if value else None


def _chunks(chunks: list[bytes]) -> object:
    return [_bytes(chunk) for chunk in chunks]


def _names(tools: dict[str, bytes]) -> object:
    return sorted(tools)


def _big_integer(text: str) -> object:
    if not _INTEGER.fullmatch(text):
        raise Damaged("Value.big_integer_value is no decimal number")
    return text.encode()


def _null(truth: bool) -> object:
    if not truth:
        raise Damaged("Value.null_value is false")
    return None


def _array(array: Fields) -> object:
    dtype, shape, data = array["dtype"], array["shape"], array["data"]
    if dtype not in DTYPES:
        raise Damaged("Array.dtype is an unknown one")
    letter, size = DTYPES[dtype]
    count = 1
    for length in shape:
        count *= length
    if len(shape) > DIMENSIONS_MAX or count * size != len(data):
        raise Damaged("Array.data does not fit its shape")
    numbers = unpack(f"<{count}{letter}", data)
    elements: list[Any]
    if letter in "efd":
        elements = reals(numbers, dtype == "float32")
    elif dtype == "bool":
        elements = [truth != 0 for truth in numbers]
    else:
        elements = [number(each) for each in numbers]
    shown: dict[str, object] = {"shape": [number(length) for length in shape], "data": elements}
    if dtype not in PLAIN_DTYPES:
        shown["dtype"] = dtype
    return shown


def _sealed(sealed: Fields) -> object:
    return {
        "__snakepit_sealed__": b64encode(sealed["data"]).decode(),
        "key_id": sealed["key_id"],
    }


_VALUES: Final[dict[str, Show]] = {
    "float_value": Real,
    "integer_value": number,
    "big_integer_value": _big_integer,
    "string_value": _same,
    "boolean_value": _same,
    "null_value": _null,
    "bytes_value": _bytes,
    "map_json": document,
    "list_json": document,
    "array_value": _array,
    "sealed_value": _sealed,
}


def _value(value: Fields | None) -> object:
    if value is None or value["kind"] is None:
        raise Damaged("the value is missing")
    kind, of = value["kind"]
    return _VALUES[kind](of)


def _calls(calls: list[Fields]) -> object:
    return [_shown(_CALL, call) for call in calls]


def _reads(reads: list[Fields]) -> object:
    return [_shown(_READ, read) for read in reads]


def _shown(table: Table, fields: Fields) -> dict[str, object]:
    return {
        name: fields[field] if show is _same else show(fields[field]) for name, (field, show) in table.items()
    }


def _as(show: Show, names: str) -> Table:
    """Fields that are shown alike, under their own names."""
    return {name: (name, show) for name in names.split()}


_METADATA: Final = _as(_same, "metadata")
_VALUE: Final = _as(_value, "value")
_VERSION: Final = _as(number, "version")
_ACCESS: Final[Table] = {"access": ("access_json", document)}

_READ: Final = _as(_same, "session_id name") | _VERSION
_CALL: Final = (
    _as(_same, "call_id session_id pool tool tool_version worker principal request_id outcome error_type")
    | _as(_digest, "arguments_digest result_digest")
    | _as(number, "node started_ms duration_us queued_us reads_left_out")
    | _as(_reads, "reads")
    | {"started": ("started_ms", show_time)}
)

# What `change` holds, by the event's name.
CHANGES: Final[dict[str, Table]] = {
    "SessionCreated": _METADATA
    | _as(number, "ttl_ms cache_ttl_ms")
    | _as(_same, "enable_caching enable_telemetry imported_from subject"),
    "SessionTouched": {},
    "SessionDeleted": {},
    "SessionExpired": _as(number, "deadline_ms"),
    "VariableRegistered": _as(_same, "id name type")
    | _VALUE
    | _METADATA
    | _VERSION
    | _ACCESS
    | {"constraints": ("constraints_json", document)},
    "VariableSet": _as(_same, "id name") | _VALUE | _METADATA | _VERSION,
    "VariableRolledBack": _as(_same, "id name")
    | _VALUE
    | _METADATA
    | _VERSION
    | _as(number, "target_version"),
    "VariableDeleted": _as(_same, "id name") | _VERSION,
    "VariableAccessSet": _as(_same, "id name") | _ACCESS,
    "DependencyAdded": _as(_same, "from to kind"),
    "DependencyRemoved": _as(_same, "from to"),
    "OptimizationStarted": _as(_same, "id name optimization_id optimizer_id config renewed")
    | _as(number, "lease_ms"),
    "OptimizationStopped": _as(_same, "id name optimization_id forced"),
    "ProgramPut": _as(_same, "program_id") | _VALUE | _METADATA | _VERSION | _as(number, "ttl_ms"),
    "ProgramDeleted": _as(_same, "program_id") | _VERSION,
    "ProgramExpired": _as(_same, "program_id") | _as(number, "deadline_ms"),
    "ToolsRegistered": _as(_same, "worker_id") | _as(_names, "tools"),
    "PoolPut": _as(_same, "name") | _VERSION | {"definition": ("definition_json", document)},
    "PoolRemoved": _as(_same, "name") | _VERSION,
    "WorkerBound": _as(_same, "pool worker") | _as(number, "node"),
    "WorkerUnbound": _as(_same, "pool worker") | _as(number, "node"),
    "CallStarted": _as(_same, "of_session call_id pool tool tool_version idempotency_key")
    | _as(_journaled, "arguments")
    | _as(_digest, "arguments_digest")
    | _as(number, "deadline_ms attempt"),
    "CallEnded": _as(_same, "of_session call_id pool tool worker outcome error_type idempotency_key")
    | _as(_journaled, "result")
    | _as(_digest, "result_digest")
    | _as(number, "node duration_us queued_us chunks attempts reads_left_out")
    | _as(_reads, "reads"),
    "CallChunksPut": _as(_same, "of_session call_id") | _as(number, "batch first") | _as(_chunks, "chunks"),
    "CallsRecorded": _as(_calls, "calls"),
    "EventsArchived": _as(number, "first last") | _as(_digest, "root hash"),
    "SubjectPut": _as(_same, "name key_id"),
    "SubjectErased": _as(_same, "name key_id"),
}
_BY_FIELD: Final = {field: (name, CHANGES[name]) for field, name in NAMES.items()}

_CAUSES: Final = (("request", "request_id"), ("call", "call_id"), ("tool", "tool"), ("worker", "worker"))


def readable(event: Fields) -> dict[str, object]:
    """All that is shown of an event but its bytes and its hash."""
    if event["payload"] is None:
        raise Damaged("Event has no payload")
    if event["answer"] is not None and event["answer"]["kind"] is None:
        raise Damaged("Answer has no kind")
    field, payload = event["payload"]
    name, table = _BY_FIELD[field]
    cause = event["cause"]
    causes: dict[str, object] = {to: cause[of] for to, of in _CAUSES if cause[of]}
    if cause["node"]:
        causes["node"] = number(cause["node"])
    return {
        "position": number(event["position"]),
        "time": show_time(event["time_ms"]),
        "time_ms": number(event["time_ms"]),
        "session": event["session_id"],
        "revision": number(event["revision"]),
        "event": name,
        "change": _shown(table, payload),
        "principal": event["principal"],
        "cause": causes,
        "raft_index": number(event["raft_index"]),
        "raft_term": number(event["raft_term"]),
    }
