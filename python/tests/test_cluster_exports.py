"""Exports of a real cluster, read by tools that know nothing of Snakepit, and checked by both verifiers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import snakepit
from tests.cluster import Cluster


def snakepit_log(cluster: Cluster, *arguments: str) -> Any:
    """Run `snakepit log`, which must succeed: what it prints."""
    ran = subprocess.run(
        [os.environ["SNAKEPIT_BIN"], "log", *arguments, "-o", "json"],
        env=os.environ | {"SNAKEPIT_ENDPOINTS": ",".join(cluster.endpoints)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def verifies(cluster: Cluster, file: Path) -> bool:
    """Whether an export verifies, of which both verifiers say the same."""
    own = snakepit_log(cluster, "checkpoint")["key"]
    told = []
    for command in (
        [os.environ["SNAKEPIT_BIN"], "log", "verify", str(file)],
        [sys.executable, "-m", "snakepit.verify", str(file)],
    ):
        ran = subprocess.run([*command, "--key", own], capture_output=True, text=True, check=False)
        assert ran.returncode in {0, 1}, ran.stderr
        told.append(ran.returncode == 0)
    assert told[0] == told[1]
    return told[0]


@pytest.fixture(scope="module")
def written(cluster: Cluster) -> str:
    """A session in which something was written; some of it is hard to show."""
    with snakepit.connect(cluster.endpoints, principal="ada") as client:
        session = client.create_session(f"exported-{uuid.uuid4().hex}")
        for value in range(20):
            session["x"] = value
        session["private"] = {"$serde_json::private::Number": "1", "b": [1.5, "é😀"]}
        return session.id


def test_tables_are_read_by_pyarrow_and_duckdb(cluster: Cluster, written: str, tmp_path: Path) -> None:
    file, lines = tmp_path / "events.parquet", tmp_path / "events.jsonl"
    exported = snakepit_log(cluster, "export", "--out", str(file), "--form", "parquet")
    end = str(exported["last"])
    snakepit_log(cluster, "export", "--out", str(lines), "--to", end)
    assert verifies(cluster, file)
    assert not (tmp_path / "events.parquet.spool").exists()

    table = pq.read_table(file)
    assert table.num_rows == exported["count"]
    wanted = [json.loads(line) for line in lines.read_text().splitlines()]
    for row, line in zip(table.to_pylist(), wanted, strict=True):
        assert {name: row[name] for name in ("position", "session", "event", "time_ms")} == {
            name: line[name] for name in ("position", "session", "event", "time_ms")
        }
        assert row["time"].isoformat(timespec="milliseconds").replace("+00:00", "Z") == line["time"]
        assert json.loads(row["change"]) == line["change"]
        assert (row["principal"], row["cause_node"]) == (line["principal"]["name"], line["cause"].get("node"))
        assert row["hash"].hex() == line["hash"]

    # Written again by pyarrow it says the same.
    again = tmp_path / "again.parquet"
    pq.write_table(table, again, write_statistics=False, store_schema=False)
    data = again.read_bytes()
    manifest = json.loads((tmp_path / "events.parquet.manifest.json").read_text())
    manifest |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (tmp_path / "again.parquet.manifest.json").write_text(json.dumps(manifest))
    assert verifies(cluster, again)

    found = duckdb.sql(
        f"""
        SELECT event, count(*), max(CAST(change->>'version' AS INT)), max(time) IS NOT NULL
        FROM '{file}' WHERE session = '{written}' AND change->>'name' = 'x' GROUP BY event ORDER BY event
        """
    ).fetchall()
    assert found == [("VariableRegistered", 1, 1, True), ("VariableSet", 19, 20, True)]
    digests = duckdb.sql(f"SELECT sha256(bytes) FROM '{file}' WHERE position = 1").fetchall()
    assert len(digests) == 1


def test_lines_are_read_by_duckdb_and_jq(cluster: Cluster, written: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    snakepit_log(cluster, "export", "--out", str(file))
    assert verifies(cluster, file)
    query = f"SELECT count(*) FROM read_json('{file}') WHERE session = '{written}' AND event = 'VariableSet'"
    assert duckdb.sql(query).fetchall() == [(19,)]
    if jq := shutil.which("jq"):
        wanted = f'select(.session == "{written}" and .change.name == "x") | .change.value'
        ran = subprocess.run([jq, "-c", wanted, str(file)], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == [str(value) for value in range(20)]


def test_a_table_goes_on_from_its_spool(cluster: Cluster, written: str, tmp_path: Path) -> None:
    assert written
    file, raw = tmp_path / "events.parquet", tmp_path / "raw"
    export = ("export", "--out", str(file), "--form", "parquet", "--to", "30")
    snakepit_log(cluster, *export)
    whole = file.read_bytes()
    subprocess.run(
        [os.environ["SNAKEPIT_BIN"], "log", "export", "--raw", str(raw), "--to", "30"],
        env=os.environ | {"SNAKEPIT_ENDPOINTS": ",".join(cluster.endpoints)},
        capture_output=True,
        check=True,
    )
    # What a try that was killed leaves: some records, the last of them cut off, and no table.
    spool = tmp_path / "events.parquet.spool"
    file.unlink()
    spool.write_bytes(raw.read_bytes()[: raw.stat().st_size // 2])
    snakepit_log(cluster, *export)
    assert file.read_bytes() == whole
    assert not spool.exists()
    assert verifies(cluster, file)

    # Another thing's name is not taken.
    other = tmp_path / "other"
    other.write_text("mine")
    ran = subprocess.run(
        [os.environ["SNAKEPIT_BIN"], "log", "export", "--out", str(other), "--form", "parquet"],
        env=os.environ | {"SNAKEPIT_ENDPOINTS": ",".join(cluster.endpoints)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "holds something else" in ran.stderr
    assert other.read_text() == "mine"


def test_what_was_changed_does_not_verify(cluster: Cluster, written: str, tmp_path: Path) -> None:
    assert written
    for form in ("jsonl", "cloudevents", "parquet"):
        file = tmp_path / form
        snakepit_log(cluster, "export", "--out", str(file), "--form", form, "--to", "20")
        data = file.read_bytes()
        file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        assert not verifies(cluster, file)
