"""The messages of `snakepit/events/v1/events.proto`, as a table."""

from __future__ import annotations

from typing import Any, Final

from . import _wire
from ._wire import Shape

# Number: name, type, and the oneof that it is of.
MESSAGES: Final[dict[str, dict[int, tuple[str, ...]]]] = {
    "Event": {
        1: ("position", "uint64"),
        2: ("session_id", "string"),
        3: ("revision", "uint64"),
        4: ("raft_index", "uint64"),
        5: ("raft_term", "uint64"),
        6: ("time_ms", "uint64"),
        7: ("principal", "Principal"),
        8: ("cause", "Cause"),
        9: ("answer", "Answer"),
        20: ("session_created", "SessionCreated", "payload"),
        21: ("session_touched", "SessionTouched", "payload"),
        22: ("session_deleted", "SessionDeleted", "payload"),
        23: ("session_expired", "SessionExpired", "payload"),
        30: ("variable_registered", "VariableRegistered", "payload"),
        31: ("variable_set", "VariableSet", "payload"),
        32: ("variable_deleted", "VariableDeleted", "payload"),
        33: ("variable_rolled_back", "VariableRolledBack", "payload"),
        34: ("variable_access_set", "VariableAccessSet", "payload"),
        35: ("dependency_added", "DependencyAdded", "payload"),
        36: ("dependency_removed", "DependencyRemoved", "payload"),
        37: ("optimization_started", "OptimizationStarted", "payload"),
        38: ("optimization_stopped", "OptimizationStopped", "payload"),
        40: ("program_put", "ProgramPut", "payload"),
        41: ("program_deleted", "ProgramDeleted", "payload"),
        42: ("program_expired", "ProgramExpired", "payload"),
        50: ("tools_registered", "ToolsRegistered", "payload"),
        60: ("pool_put", "PoolPut", "payload"),
        61: ("pool_removed", "PoolRemoved", "payload"),
        62: ("worker_bound", "WorkerBound", "payload"),
        63: ("worker_unbound", "WorkerUnbound", "payload"),
        70: ("call_started", "CallStarted", "payload"),
        71: ("call_ended", "CallEnded", "payload"),
        72: ("call_chunks_put", "CallChunksPut", "payload"),
        73: ("calls_recorded", "CallsRecorded", "payload"),
        80: ("events_archived", "EventsArchived", "payload"),
        81: ("subject_put", "SubjectPut", "payload"),
        82: ("subject_erased", "SubjectErased", "payload"),
    },
    "Principal": {1: ("name", "string"), 2: ("verified", "bool")},
    "Cause": {
        1: ("request_id", "string"),
        2: ("call_id", "string"),
        3: ("tool", "string"),
        4: ("worker", "string"),
        5: ("node", "uint64"),
    },
    "Value": {
        1: ("float_value", "double", "kind"),
        2: ("integer_value", "sint64", "kind"),
        3: ("big_integer_value", "string", "kind"),
        4: ("string_value", "string", "kind"),
        5: ("boolean_value", "bool", "kind"),
        6: ("null_value", "bool", "kind"),
        7: ("bytes_value", "bytes", "kind"),
        8: ("map_json", "string", "kind"),
        9: ("list_json", "string", "kind"),
        10: ("array_value", "Array", "kind"),
        11: ("sealed_value", "Sealed", "kind"),
    },
    "Sealed": {1: ("key_id", "string"), 2: ("data", "bytes")},
    "Array": {1: ("dtype", "string"), 2: ("shape", "many uint64"), 3: ("data", "bytes")},
    "SessionCreated": {
        1: ("metadata", "map string"),
        2: ("ttl_ms", "uint64"),
        3: ("enable_caching", "bool"),
        4: ("cache_ttl_ms", "uint64"),
        5: ("enable_telemetry", "bool"),
        6: ("imported_from", "string"),
        7: ("subject", "string"),
    },
    "SessionTouched": {},
    "SessionDeleted": {},
    "SessionExpired": {1: ("deadline_ms", "uint64")},
    "VariableRegistered": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("type", "string"),
        4: ("value", "Value"),
        5: ("constraints_json", "string"),
        6: ("metadata", "map string"),
        7: ("version", "uint64"),
        8: ("access_json", "string"),
        9: ("past", "Past"),
    },
    "Past": {1: ("previous", "uint64"), 2: ("skip", "uint64")},
    "VariableSet": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("value", "Value"),
        4: ("metadata", "map string"),
        5: ("version", "uint64"),
        6: ("past", "Past"),
        7: ("type", "string"),
        8: ("access_json", "string"),
    },
    "VariableRolledBack": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("value", "Value"),
        4: ("metadata", "map string"),
        5: ("version", "uint64"),
        6: ("target_version", "uint64"),
        7: ("past", "Past"),
        8: ("type", "string"),
        9: ("access_json", "string"),
    },
    "VariableDeleted": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("version", "uint64"),
        4: ("type", "string"),
        5: ("access_json", "string"),
    },
    "VariableAccessSet": {1: ("id", "string"), 2: ("name", "string"), 3: ("access_json", "string")},
    "DependencyAdded": {1: ("from", "string"), 2: ("to", "string"), 3: ("kind", "string")},
    "DependencyRemoved": {1: ("from", "string"), 2: ("to", "string")},
    "OptimizationStarted": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("optimization_id", "string"),
        4: ("optimizer_id", "string"),
        5: ("config", "map string"),
        6: ("lease_ms", "uint64"),
        7: ("renewed", "bool"),
    },
    "OptimizationStopped": {
        1: ("id", "string"),
        2: ("name", "string"),
        3: ("optimization_id", "string"),
        4: ("forced", "bool"),
    },
    "ProgramPut": {
        1: ("program_id", "string"),
        2: ("value", "Value"),
        3: ("metadata", "map string"),
        4: ("version", "uint64"),
        5: ("ttl_ms", "uint64"),
    },
    "ProgramDeleted": {1: ("program_id", "string"), 2: ("version", "uint64")},
    "ProgramExpired": {1: ("program_id", "string"), 2: ("deadline_ms", "uint64")},
    "ToolsRegistered": {1: ("worker_id", "string"), 2: ("tools", "map bytes")},
    "PoolPut": {1: ("name", "string"), 2: ("definition_json", "string"), 3: ("version", "uint64")},
    "PoolRemoved": {1: ("name", "string"), 2: ("version", "uint64")},
    "WorkerBound": {1: ("pool", "string"), 2: ("node", "uint64"), 3: ("worker", "string")},
    "WorkerUnbound": {1: ("pool", "string"), 2: ("worker", "string"), 3: ("node", "uint64")},
    "CallStarted": {
        1: ("of_session", "string"),
        2: ("call_id", "string"),
        3: ("pool", "string"),
        4: ("tool", "string"),
        5: ("tool_version", "string"),
        6: ("idempotency_key", "string"),
        7: ("arguments", "bytes"),
        8: ("arguments_digest", "bytes"),
        9: ("deadline_ms", "uint64"),
        10: ("attempt", "uint32"),
    },
    "CallEnded": {
        1: ("of_session", "string"),
        2: ("call_id", "string"),
        3: ("pool", "string"),
        4: ("tool", "string"),
        5: ("worker", "string"),
        6: ("node", "uint64"),
        7: ("outcome", "string"),
        8: ("error_type", "string"),
        9: ("result", "bytes"),
        10: ("result_digest", "bytes"),
        11: ("duration_us", "uint64"),
        12: ("queued_us", "uint64"),
        13: ("chunks", "uint64"),
        14: ("attempts", "uint32"),
        15: ("idempotency_key", "string"),
        16: ("reads", "many CallRead"),
        17: ("reads_left_out", "uint64"),
    },
    "CallRead": {1: ("session_id", "string"), 2: ("name", "string"), 3: ("version", "uint64")},
    "CallChunksPut": {
        1: ("of_session", "string"),
        2: ("call_id", "string"),
        3: ("batch", "uint64"),
        4: ("first", "uint64"),
        5: ("chunks", "many bytes"),
    },
    "CallsRecorded": {1: ("calls", "many CallRecord")},
    "SubjectPut": {1: ("name", "string"), 2: ("key_id", "string")},
    "SubjectErased": {1: ("name", "string"), 2: ("key_id", "string")},
    "EventsArchived": {
        1: ("first", "uint64"),
        2: ("last", "uint64"),
        3: ("root", "bytes"),
        4: ("hash", "bytes"),
    },
    "CallRecord": {
        1: ("call_id", "string"),
        2: ("session_id", "string"),
        3: ("pool", "string"),
        4: ("tool", "string"),
        5: ("tool_version", "string"),
        6: ("worker", "string"),
        7: ("node", "uint64"),
        8: ("principal", "string"),
        9: ("request_id", "string"),
        10: ("outcome", "string"),
        11: ("error_type", "string"),
        12: ("arguments_digest", "bytes"),
        13: ("result_digest", "bytes"),
        14: ("started_ms", "uint64"),
        15: ("duration_us", "uint64"),
        16: ("queued_us", "uint64"),
        17: ("reads", "many CallRead"),
        18: ("reads_left_out", "uint64"),
    },
    "Rejection": {1: ("kind", "string"), 2: ("message", "string")},
    "Answer": {
        1: ("session_created", "SessionCreatedAnswer", "kind"),
        2: ("session_deleted", "SessionDeletedAnswer", "kind"),
        3: ("session_touched", "SessionTouchedAnswer", "kind"),
        4: ("variable_registered", "VariableRegisteredAnswer", "kind"),
        5: ("variables_set", "VariablesSetAnswer", "kind"),
        6: ("variable_deleted", "VariableDeletedAnswer", "kind"),
        7: ("done", "DoneAnswer", "kind"),
        8: ("optimization_started", "OptimizationStartedAnswer", "kind"),
        9: ("program_put", "ProgramPutAnswer", "kind"),
        10: ("session_imported", "SessionImportedAnswer", "kind"),
        11: ("variable_rolled_back", "VariableRolledBackAnswer", "kind"),
        12: ("optimization_stopped", "OptimizationStoppedAnswer", "kind"),
        13: ("pool_put", "PoolPutAnswer", "kind"),
        14: ("worker_bound", "WorkerBoundAnswer", "kind"),
        15: ("call_started", "CallStartedAnswer", "kind"),
        16: ("call_ended", "CallEndedAnswer", "kind"),
        17: ("call_chunks_put", "CallChunksPutAnswer", "kind"),
    },
    "DoneAnswer": {1: ("existed", "bool")},
    "OptimizationStartedAnswer": {1: ("optimization_id", "string"), 2: ("expires_ms", "uint64")},
    "VariableRolledBackAnswer": {1: ("version", "uint64"), 2: ("position", "uint64")},
    "OptimizationStoppedAnswer": {1: ("existed", "bool"), 2: ("position", "uint64")},
    "PoolPutAnswer": {1: ("version", "uint64")},
    "WorkerBoundAnswer": {1: ("node", "uint64"), 2: ("worker", "string"), 3: ("bound", "bool")},
    "CallStartedAnswer": {1: ("call_id", "string"), 2: ("node", "uint64"), 3: ("position", "uint64")},
    "CallEndedAnswer": {1: ("outcome", "string"), 2: ("result", "bytes"), 3: ("position", "uint64")},
    "CallChunksPutAnswer": {1: ("position", "uint64"), 2: ("first", "uint64"), 3: ("count", "uint64")},
    "ProgramPutAnswer": {1: ("version", "uint64")},
    "SessionImportedAnswer": {1: ("variables", "uint64"), 2: ("programs", "uint64")},
    "SessionCreatedAnswer": {1: ("created", "bool")},
    "SessionDeletedAnswer": {1: ("existed", "bool"), 2: ("resources", "uint64")},
    "SessionTouchedAnswer": {1: ("valid", "bool")},
    "VariableRegisteredAnswer": {1: ("id", "string"), 2: ("version", "uint64")},
    "VariablesSetAnswer": {1: ("versions", "map uint64"), 2: ("refused", "map Rejection")},
    "VariableDeletedAnswer": {},
}

_SCALARS: Final[dict[str, tuple[int, Any]]] = {
    "uint64": (_wire.UINT64, 0),
    "uint32": (_wire.UINT32, 0),
    "sint64": (_wire.SINT64, 0),
    "bool": (_wire.BOOL, False),
    "double": (_wire.DOUBLE, 0.0),
    "string": (_wire.TEXT, ""),
    "bytes": (_wire.BYTES, b""),
}
_MANY: Final = {"uint64": _wire.MANY_UINT64, "bytes": _wire.MANY_BYTES}
# Their absence means something.
_MAY_BE_ABSENT: Final = frozenset({"Value", "Answer"})


def _shape(name: str, message: dict[int, tuple[str, ...]]) -> Shape:
    shape = Shape(name, {}, {})
    for number, (field, kind, *oneof) in message.items():
        form, default, part = _field(name, field, kind)
        key, member = (oneof[0], field) if oneof else (field, None)
        shape.table[number << 3 | _wire.WIRE_TYPES.get(form, 2)] = (form, key, member, part)
        shape.defaults[key] = None if oneof else default
    return shape


def _field(message: str, field: str, kind: str) -> tuple[int, Any, Shape | None]:
    """How it is encoded, its default, and the shape of what is in it."""
    if kind in _SCALARS:
        return (*_SCALARS[kind], None)
    many, _, of = kind.rpartition(" ")
    if many == "map":
        return _wire.MAP, {}, _shape(f"{message}.{field}", {1: ("key", "string"), 2: ("value", of)})
    if many == "many":
        part = None if of in _MANY else _shape(of, MESSAGES[of])
        return _MANY.get(of, _wire.MANY_MESSAGES), [], part
    part = _shape(kind, MESSAGES[kind])
    return _wire.MESSAGE, None if kind in _MAY_BE_ABSENT else part.defaults, part


EVENT: Final = _shape("Event", MESSAGES["Event"])
# Names of the events, by their fields.
NAMES: Final = {of[0]: of[1] for of in MESSAGES["Event"].values() if of[2:] == ("payload",)}
