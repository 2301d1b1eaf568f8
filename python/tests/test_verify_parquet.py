"""Exports in Parquet, as another writer than the nodes' makes them: what verifies and what does not."""

from __future__ import annotations

import base64
import importlib
import io
import json
import random
import secrets
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snakepit.verify import _table
from snakepit.verify._fault import Fault, Unusable
from tests.test_verify_samples import SAMPLES, Export, check, export, sealed

TYPES = {
    "uint64": pa.uint64(),
    "timestamp[ms, tz=UTC]": pa.timestamp("ms", tz="UTC"),
    "string": pa.string(),
    "bool": pa.bool_(),
    "binary": pa.binary(),
}
SCHEMA = pa.schema([pa.field(name, TYPES[kind], nullable) for name, kind, nullable in _table.COLUMNS])
CAUSES = ("request", "call", "tool", "worker", "node")
MUTATIONS = 300

Row = dict[str, Any]
Change = Callable[[list[Row]], object]


def rows_of(made: Export) -> list[Row]:
    rows = []
    for line in made.lines:
        # `change` stays as it stands in the line: its numbers are not to be rounded here.
        told = json.loads(line, parse_int=lambda text: int(text) if len(text) < 21 else text)
        text = line.split('"change":', 1)[1].rsplit(',"principal":{', 1)[0]
        cause = told["cause"]
        rows.append(
            {name: told[name] for name in ("position", "time_ms", "session", "revision", "event")}
            | {
                "time": told["time_ms"] if told["time"] else None,
                "change": text,
                "principal": told["principal"]["name"],
                "principal_verified": told["principal"]["verified"],
                **{f"cause_{name}": cause.get(name) for name in CAUSES},
                "raft_index": told["raft_index"],
                "raft_term": told["raft_term"],
                "hash": bytes.fromhex(told["hash"]),
                "bytes": base64.b64decode(told["bytes"]),
            }
        )
    return rows


def table(rows: list[Row], **options: Any) -> bytes:
    out = io.BytesIO()
    settings: dict[str, Any] = {"write_statistics": False, "store_schema": False}
    with pq.ParquetWriter(out, SCHEMA, **(settings | options)) as writer:
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA), row_group_size=7)
    return out.getvalue()


def refusal(made: Export, data: bytes) -> str:
    manifest = sealed(made.manifest | {"form": "parquet"}, data)
    with pytest.raises(Fault) as fault:
        check(data, manifest, made.checkpoint())
    position = fault.value.position
    return fault.value.message if position is None else f"{position}: {fault.value.message}"


@pytest.fixture(scope="module")
def made() -> Export:
    return export(SAMPLES)


@pytest.mark.parametrize("first", [1, 2, 9, len(SAMPLES)])
def test_tables_verify(first: int) -> None:
    made = export(SAMPLES, first=first)
    data = table(rows_of(made))
    verified = check(data, sealed(made.manifest | {"form": "parquet"}, data), made.checkpoint())
    assert verified.signed_to == len(SAMPLES)


def test_what_is_wrong_is_told(made: Export) -> None:
    def told(change: Change) -> str:
        rows = rows_of(made)
        change(rows)
        return refusal(made, table(rows))

    last = len(SAMPLES)
    assert told(lambda rows: rows.pop()) == f"{last}: the file ends in front of it"
    assert told(lambda rows: rows.append(rows[-1])) == (
        f"the file goes on behind event {last}, the last one of the manifest"
    )
    assert told(lambda rows: rows.reverse()) == f"1: the bytes are of position {last}"
    assert told(lambda rows: rows[0].update(principal="eve")) == (
        '1: principal.name is "eve", the bytes say "ada"'
    )
    assert told(lambda rows: rows[1].update(cause_node=3)).startswith("2: cause.node is 3, there is no")
    assert told(lambda rows: rows[1].update(time=-1)) == "2: time is -1, which is never shown"
    assert told(lambda rows: rows[2].update(hash=b"")).startswith('3: its hash is "", that of the chain')


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"write_statistics": True}, "statistics or indexes"),
        ({"write_statistics": True, "write_page_index": True}, "statistics or indexes"),
        ({"store_schema": True}, "metadata of its own"),
    ],
)
def test_tables_with_what_readers_may_follow_are_refused(
    made: Export, options: dict[str, bool], why: str
) -> None:
    assert why in refusal(made, table(rows_of(made), **options))


def test_what_is_no_such_table_is_refused(made: Export) -> None:
    assert "Parquet" in refusal(made, made.data)
    out = io.BytesIO()
    pq.write_table(pa.table({"position": [1]}), out, write_statistics=False, store_schema=False)
    assert refusal(made, out.getvalue()) == "the columns are not those of an export"


def test_without_pyarrow_it_says_what_to_do(made: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(_table, "import_module", missing)
    data = table(rows_of(made))
    with pytest.raises(Unusable, match="No module named 'pyarrow'") as error:
        check(data, sealed(made.manifest | {"form": "parquet"}, data))
    assert "pip install pyarrow" in error.value.hint
    monkeypatch.setattr(_table, "import_module", importlib.import_module)


def test_no_cell_says_another_thing_unseen(made: Export) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    rows = rows_of(made)
    for number in range(MUTATIONS):
        changed = [dict(row) for row in rows]
        row, (name, kind, nullable) = draw.choice(changed), draw.choice(_table.COLUMNS)
        own = row[name]
        whole = own if isinstance(own, int) else 0
        others: dict[str, list[Any]] = {
            "uint64": [0, 1, 2**64 - 1, whole ^ 1],
            "timestamp[ms, tz=UTC]": [0, 1, 2**62, whole + 1],
            "string": ["", "x", "{}", "[]", "null", f"{own}x", f"{own} "],
            "bool": [not own],
            "binary": [b"", own[:-1] if isinstance(own, bytes) else b"", b"\x08\x01"],
        }
        row[name] = draw.choice([other for other in others[kind] + [None] * nullable if other != own])
        assert refusal(made, table(changed)), f"seed {seed}: change {number}"
