"""Exports in Parquet, for which `pyarrow` is needed: rows as lines would show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, BinaryIO, Final, NamedTuple

from ._change import number, readable, show_time
from ._documents import Json, NotJson, difference, parse, shown
from ._fault import Fault, Unusable
from ._line import Batch
from ._schema import EVENT
from ._wire import Damaged, decode

ROWS_MAX: Final = 256

# Names, types and whether there may be none, as pyarrow reads them.
COLUMNS: Final = (
    ("position", "uint64", False),
    ("time", "timestamp[ms, tz=UTC]", True),
    ("time_ms", "uint64", False),
    ("session", "string", False),
    ("revision", "uint64", False),
    ("event", "string", False),
    ("change", "string", False),
    ("principal", "string", False),
    ("principal_verified", "bool", False),
    ("cause_request", "string", True),
    ("cause_call", "string", True),
    ("cause_tool", "string", True),
    ("cause_worker", "string", True),
    ("cause_node", "uint64", True),
    ("raft_index", "uint64", False),
    ("raft_term", "uint64", False),
    ("hash", "binary", False),
    ("bytes", "binary", False),
)
_CAUSES: Final = ("request", "call", "tool", "worker")


class Table(NamedTuple):
    """A file that has the columns of an export and nothing that readers follow in place of them."""

    file: Any
    arrow: Any

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Some rows at a time, their times as milliseconds. Raises Fault."""
        try:
            for batch in self.file.iter_batches(batch_size=ROWS_MAX, use_threads=False):
                batch.validate(full=True)
                at = batch.schema.get_field_index("time")
                times = batch.column(at).cast(self.arrow.int64())
                yield batch.set_column(at, "time", times).to_pylist()
        except (self.arrow.ArrowException, OSError, ValueError) as error:
            raise _unread(error) from None


def read(file: BinaryIO) -> Table:
    """Open a table. Raises Fault, or Unusable where pyarrow is not there."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise Unusable(
            f"an export in Parquet cannot be read: {error}",
            "pip install pyarrow, or run `snakepit log verify EXPORT`",
        ) from error
    try:
        table = Table(parquet.ParquetFile(file), arrow)
        _check(table.file)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise _unread(error) from None
    return table


def _check(file: Any) -> None:
    found = tuple((field.name, str(field.type), field.nullable) for field in file.schema_arrow)
    if found != COLUMNS:
        raise Fault("the columns are not those of an export")
    about = file.metadata
    if about.metadata:
        raise Fault("the file has metadata of its own, which readers may follow")
    rows = 0
    for index in range(about.num_row_groups):
        group = about.row_group(index)
        rows += group.num_rows
        for at in range(group.num_columns):
            column = group.column(at)
            if column.num_values != group.num_rows:
                raise Fault("a group has columns of different lengths")
            if column.is_stats_set or column.has_offset_index or column.has_column_index:
                raise Fault(
                    "the file has statistics or indexes, which readers may follow in place of its events"
                )
            if column.file_path:
                raise Fault("a column is in another file")
    if rows != about.num_rows:
        raise Fault(f"the file is said to have {about.num_rows} rows, its groups have {rows}")


def check(rows: Sequence[dict[str, Any]], first: int) -> Batch:
    """Check rows from a position on, as lines are."""
    events = []
    for position, row in enumerate(rows, first):
        try:
            events.append(_check_row(row, position))
        except (Fault, NotJson, Damaged) as error:
            return Batch(events, str(error))
    return Batch(events, None)


def _check_row(row: dict[str, Any], position: int) -> tuple[bytes, str]:
    data: bytes = row["bytes"]
    want = readable(decode(EVENT, data))
    if want["position"] != number(position):
        raise Fault(f"the bytes are of position {shown(want['position'])}")
    found = _as_line(row)
    if want != found:
        raise Fault(difference(want, found))
    return data, row["hash"].hex()


def _as_line(row: dict[str, Any]) -> dict[str, object]:
    time = "" if row["time"] is None else show_time(row["time"])
    if row["time"] is not None and not time:
        raise Fault(f"time is {row['time']}, which is never shown")
    cause: dict[str, object] = {
        name: row[f"cause_{name}"] for name in _CAUSES if row[f"cause_{name}"] is not None
    }
    if row["cause_node"] is not None:
        cause["node"] = number(row["cause_node"])
    return {
        "position": number(row["position"]),
        "time": time,
        "time_ms": number(row["time_ms"]),
        "session": row["session"],
        "revision": number(row["revision"]),
        "event": row["event"],
        "change": _document(row["change"]),
        "principal": {"name": row["principal"], "verified": row["principal_verified"]},
        "cause": cause,
        "raft_index": number(row["raft_index"]),
        "raft_term": number(row["raft_term"]),
    }


def _document(text: str) -> Json:
    found, end = parse(text)
    if end != len(text):
        raise Fault("change is not one JSON object")
    return found


def _unread(error: Exception) -> Fault:
    text = str(error)
    return Fault(f"it cannot be read as Parquet: {text if text.isprintable() else ascii(text)}")
