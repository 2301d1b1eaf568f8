"""Exports as a node makes them, built of the generated protobuf and of changes written out by hand."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from snakepit._proto import events_v1_pb2 as pb
from snakepit.verify import _key, _manifest
from snakepit.verify._export import Verified, verify

ORIGIN = "snakepit/0192f0c4-test"
BYTES = '{"__snakepit_bytes__":"AAH/"}'
DIGEST = bytes(range(32))


@dataclass(frozen=True)
class Sample:
    event: str
    payload: dict[str, Any]
    change: str
    more: dict[str, Any] = field(default_factory=dict)
    cause: str = "{}"
    principal: str = '{"name":"","verified":false}'


def half(number: float) -> bytes:
    return struct.pack("<e", number)


def of_value(value: pb.Value, shown: str) -> Sample:
    payload = pb.VariableSet(id="var_x_1", name="x", value=value, metadata={"b": "2", "a": ""}, version=3)
    payload.past.previous = 7
    change = f'{{"id":"var_x_1","name":"x","value":{shown},"metadata":{{"a":"","b":"2"}},"version":3}}'
    return Sample("VariableSet", {"variable_set": payload}, change)


def of_array(dtype: str, shape: list[int], data: bytes, elements: str, told: bool = True) -> Sample:
    about = f',"dtype":"{dtype}"' if told else ""
    array = pb.Array(dtype=dtype, shape=shape, data=data)
    return of_value(pb.Value(array_value=array), f'{{"data":{elements},"shape":{json.dumps(shape)}{about}}}')


VALUES = [
    of_value(
        pb.Value(sealed_value=pb.Sealed(key_id="0f", data=bytes([0, 1, 199]))),
        '{"__snakepit_sealed__":"AAHH","key_id":"0f"}',
    ),
    of_value(pb.Value(float_value=1.5), "1.5"),
    of_value(pb.Value(float_value=2.0), "2.0"),
    of_value(pb.Value(float_value=0.1 + 0.2), "0.30000000000000004"),
    of_value(pb.Value(float_value=1e16), "1e+16"),
    of_value(pb.Value(float_value=1e-7), "1e-7"),
    of_value(pb.Value(float_value=5e-324), "5e-324"),
    of_value(pb.Value(float_value=1.7976931348623157e308), "1.7976931348623157e+308"),
    of_value(pb.Value(float_value=0.0), "0.0"),
    of_value(pb.Value(float_value=-0.0), "-0.0"),
    of_value(pb.Value(float_value=float("nan")), '"NaN"'),
    of_value(pb.Value(float_value=float("inf")), '"Infinity"'),
    of_value(pb.Value(float_value=float("-inf")), '"-Infinity"'),
    of_value(pb.Value(integer_value=0), "0"),
    of_value(pb.Value(integer_value=-1), "-1"),
    of_value(pb.Value(integer_value=2**63 - 1), "9223372036854775807"),
    of_value(pb.Value(integer_value=-(2**63)), "-9223372036854775808"),
    of_value(pb.Value(big_integer_value="-" + "9" * 5000), "-" + "9" * 5000),
    of_value(pb.Value(string_value=""), '""'),
    of_value(pb.Value(string_value='a"\n\u2028é😀\x7f'), '"a\\"\\n\u2028é😀\x7f"'),
    of_value(pb.Value(boolean_value=False), "false"),
    of_value(pb.Value(boolean_value=True), "true"),
    of_value(pb.Value(null_value=True), "null"),
    of_value(pb.Value(bytes_value=b"\x00\x01\xff"), BYTES),
    of_value(pb.Value(bytes_value=b""), '{"__snakepit_bytes__":""}'),
    of_value(
        pb.Value(
            map_json='{ "b": [1E5, 1e-7, -0, 1.50], "a": {"__snakepit_float__": "NaN"}, "c": 1, "c": 2}'
        ),
        '{"a":{"__snakepit_float__":"NaN"},"b":[1e+5,1e-7,-0,1.50],"c":2}',
    ),
    of_value(pb.Value(map_json="{}"), "{}"),
    of_value(pb.Value(map_json='{"a": "\\ud800"}'), "null"),
    of_value(
        pb.Value(list_json='[[], null, true, "\\u00e9\\ud83d\\ude00", 123456789012345678901234567890]'),
        '[[],null,true,"é😀",123456789012345678901234567890]',
    ),
    of_array(
        "float16",
        [4],
        half(1) + half(65504) + half(2**-24) + half(float("nan")),
        '[1.0,65504.0,5.960464477539063e-8,"NaN"]',
    ),
    of_array(
        "float32",
        [2, 2],
        struct.pack("<4f", 0.1, 16777216, float("-inf"), -0.0),
        '[0.1,16777216.0,"-Infinity",-0.0]',
    ),
    # Read as a double, this one is rounded to the float32 beside it.
    of_array("float32", [1], bytes.fromhex("fd 43 ae 15"), "[7.038531e-26]"),
    of_array("float64", [3], struct.pack("<3d", 0.1, 1e300, 7), "[0.1,1e+300,7.0]", told=False),
    of_array("int8", [2], struct.pack("<2b", -128, 127), "[-128,127]"),
    of_array("int16", [1, 1], struct.pack("<h", -2), "[-2]"),
    of_array("int32", [1], struct.pack("<i", 70000), "[70000]"),
    of_array("int64", [2], struct.pack("<2q", -(2**63), 1), "[-9223372036854775808,1]", told=False),
    of_array("uint8", [3], b"\x00\x07\xff", "[0,7,255]"),
    of_array("uint16", [1], struct.pack("<H", 65535), "[65535]"),
    of_array("uint32", [1], struct.pack("<I", 2**32 - 1), "[4294967295]"),
    of_array("uint64", [1], struct.pack("<Q", 2**64 - 1), "[18446744073709551615]"),
    of_array("bool", [3], b"\x00\x01\x02", "[false,true,true]"),
    of_array("float64", [0], b"", "[]", told=False),
    of_array("uint8", [], b"\x05", "[5]"),
]
ONE = pb.Value(integer_value=1)
FULL_CAUSE: dict[str, Any] = {
    "request_id": "0192-abc",
    "call_id": "c-1",
    "tool": "train",
    "worker": "w-1",
    "node": 2,
}
KINDS = [
    Sample(
        "SessionCreated",
        {
            "session_created": pb.SessionCreated(
                metadata={"k": "v"},
                ttl_ms=2**64 - 1,
                enable_caching=True,
                cache_ttl_ms=5,
                imported_from="old",
                subject="ada",
            )
        },
        '{"metadata":{"k":"v"},"ttl_ms":18446744073709551615,"enable_caching":true,"cache_ttl_ms":5,'
        '"enable_telemetry":false,"imported_from":"old","subject":"ada"}',
        {"principal": pb.Principal(name="ada", verified=True), "cause": pb.Cause(**FULL_CAUSE)},
        '{"request":"0192-abc","call":"c-1","tool":"train","worker":"w-1","node":2}',
        '{"name":"ada","verified":true}',
    ),
    Sample(
        "SessionTouched",
        {"session_touched": pb.SessionTouched()},
        "{}",
        {"answer": pb.Answer(session_touched=pb.SessionTouchedAnswer(valid=True))},
    ),
    Sample(
        "SessionDeleted",
        {"session_deleted": pb.SessionDeleted()},
        "{}",
        {
            "time_ms": 0,
            "answer": pb.Answer(session_deleted=pb.SessionDeletedAnswer(existed=True, resources=300)),
        },
    ),
    Sample(
        "SessionExpired",
        {"session_expired": pb.SessionExpired(deadline_ms=1_700_000_000_000)},
        '{"deadline_ms":1700000000000}',
        {"time_ms": 253_402_207_201_000},
    ),
    Sample(
        "VariableRegistered",
        {
            "variable_registered": pb.VariableRegistered(
                id="i",
                name="n",
                type="float",
                value=pb.Value(float_value=1),
                constraints_json='{"min": 0.50}',
                metadata={},
                version=1,
                access_json="",
                past=pb.Past(),
            )
        },
        '{"id":"i","name":"n","type":"float","value":1.0,"constraints":{"min":0.50},"metadata":{},"version":1,'
        '"access":null}',
        {"answer": pb.Answer(variable_registered=pb.VariableRegisteredAnswer(id="i", version=1))},
    ),
    Sample(
        "VariableDeleted",
        {"variable_deleted": pb.VariableDeleted(id="i", name="n", version=2, type="float", access_json="{}")},
        '{"id":"i","name":"n","version":2}',
        {
            "answer": pb.Answer(
                variables_set=pb.VariablesSetAnswer(
                    versions={"a": 1, "b": 0}, refused={"c": pb.Rejection(kind="not_found", message="gone")}
                )
            )
        },
    ),
    Sample(
        "VariableRolledBack",
        {
            "variable_rolled_back": pb.VariableRolledBack(
                id="i", name="n", value=ONE, metadata={"m": "1"}, version=5, target_version=2
            )
        },
        '{"id":"i","name":"n","value":1,"metadata":{"m":"1"},"version":5,"target_version":2}',
    ),
    Sample(
        "VariableAccessSet",
        {"variable_access_set": pb.VariableAccessSet(id="i", name="n", access_json='{"read":["a","b"]}')},
        '{"id":"i","name":"n","access":{"read":["a","b"]}}',
    ),
    Sample(
        "DependencyAdded",
        {"dependency_added": pb.DependencyAdded(**{"from": "a", "to": "b", "kind": "data"})},
        '{"from":"a","to":"b","kind":"data"}',
    ),
    Sample(
        "DependencyRemoved",
        {"dependency_removed": pb.DependencyRemoved(**{"from": "a", "to": "b"})},
        '{"from":"a","to":"b"}',
    ),
    Sample(
        "OptimizationStarted",
        {
            "optimization_started": pb.OptimizationStarted(
                id="i",
                name="n",
                optimization_id="o",
                optimizer_id="by",
                config={"x": "1"},
                lease_ms=9,
                renewed=True,
            )
        },
        '{"id":"i","name":"n","optimization_id":"o","optimizer_id":"by","config":{"x":"1"},"lease_ms":9,"renewed":true}',
    ),
    Sample(
        "OptimizationStopped",
        {"optimization_stopped": pb.OptimizationStopped(id="i", name="n", optimization_id="o", forced=True)},
        '{"id":"i","name":"n","optimization_id":"o","forced":true}',
    ),
    Sample(
        "ProgramPut",
        {"program_put": pb.ProgramPut(program_id="p", value=ONE, metadata={"m": "é"}, version=1, ttl_ms=60)},
        '{"program_id":"p","value":1,"metadata":{"m":"é"},"version":1,"ttl_ms":60}',
    ),
    Sample(
        "ProgramDeleted",
        {"program_deleted": pb.ProgramDeleted(program_id="p", version=1)},
        '{"program_id":"p","version":1}',
    ),
    Sample(
        "ProgramExpired",
        {"program_expired": pb.ProgramExpired(program_id="p", deadline_ms=0)},
        '{"program_id":"p","deadline_ms":0}',
    ),
    Sample(
        "ToolsRegistered",
        {"tools_registered": pb.ToolsRegistered(worker_id="w", tools={"é": b"1", "b": b"", "Z": b"\xff"})},
        '{"worker_id":"w","tools":["Z","b","é"]}',
    ),
    Sample(
        "PoolPut",
        {"pool_put": pb.PoolPut(name="p", definition_json='{"workers":4,"x":1.0}', version=1)},
        '{"name":"p","definition":{"workers":4,"x":1.0},"version":1}',
    ),
    Sample("PoolRemoved", {"pool_removed": pb.PoolRemoved(name="p", version=2)}, '{"name":"p","version":2}'),
    Sample(
        "WorkerBound",
        {"worker_bound": pb.WorkerBound(pool="p", node=3, worker="w")},
        '{"pool":"p","node":3,"worker":"w"}',
    ),
    Sample(
        "WorkerUnbound",
        {"worker_unbound": pb.WorkerUnbound(pool="p", node=3, worker="w")},
        '{"pool":"p","node":3,"worker":"w"}',
    ),
    Sample(
        "CallStarted",
        {
            "call_started": pb.CallStarted(
                of_session="s",
                call_id="c",
                pool="p",
                tool="t",
                tool_version="1",
                idempotency_key="k",
                arguments=b"\x00\x01\xff",
                arguments_digest=DIGEST,
                deadline_ms=1000,
                attempt=1,
            )
        },
        f'{{"of_session":"s","call_id":"c","pool":"p","tool":"t","tool_version":"1","idempotency_key":"k",'
        f'"arguments":{BYTES},"arguments_digest":"{DIGEST.hex()}","deadline_ms":1000,"attempt":1}}',
        {"session_id": "", "revision": 0},
    ),
    Sample(
        "CallEnded",
        {
            "call_ended": pb.CallEnded(
                of_session="s",
                call_id="c",
                pool="p",
                tool="t",
                worker="w",
                node=1,
                outcome="raised",
                error_type="ValueError",
                duration_us=1,
                queued_us=2,
                chunks=3,
                attempts=4,
                reads=[pb.CallRead(session_id="s", name="x", version=2**64 - 1), pb.CallRead()],
                reads_left_out=5,
            )
        },
        '{"of_session":"s","call_id":"c","pool":"p","tool":"t","worker":"w","node":1,"outcome":"raised",'
        '"error_type":"ValueError","result":null,"result_digest":"","duration_us":1,"queued_us":2,"chunks":3,'
        '"attempts":4,"idempotency_key":"","reads":[{"session_id":"s","name":"x","version":18446744073709551615},'
        '{"session_id":"","name":"","version":0}],"reads_left_out":5}',
        {"answer": pb.Answer(call_ended=pb.CallEndedAnswer(outcome="raised", result=b"\xff", position=1))},
    ),
    Sample(
        "CallChunksPut",
        {
            "call_chunks_put": pb.CallChunksPut(
                of_session="s", call_id="c", batch=0, first=300, chunks=[b"\x00\x01\xff", b""]
            )
        },
        f'{{"of_session":"s","call_id":"c","batch":0,"first":300,"chunks":[{BYTES},{{"__snakepit_bytes__":""}}]}}',
    ),
    Sample(
        "CallsRecorded",
        {
            "calls_recorded": pb.CallsRecorded(
                calls=[
                    pb.CallRecord(
                        call_id="c",
                        session_id="s",
                        pool="p",
                        tool="t",
                        tool_version="1",
                        worker="w",
                        node=1,
                        principal="ada",
                        request_id="r",
                        outcome="ok",
                        arguments_digest=DIGEST,
                        started_ms=1_700_000_000_123,
                        duration_us=1,
                        queued_us=2,
                        reads=[pb.CallRead(session_id="s", name="x", version=1)],
                    ),
                    pb.CallRecord(),
                ]
            )
        },
        f'{{"calls":[{{"call_id":"c","session_id":"s","pool":"p","tool":"t","tool_version":"1","worker":"w","node":1,'
        f'"principal":"ada","request_id":"r","outcome":"ok","error_type":"","arguments_digest":"{DIGEST.hex()}",'
        f'"result_digest":"","started":"2023-11-14T22:13:20.123Z","started_ms":1700000000123,"duration_us":1,'
        f'"queued_us":2,"reads":[{{"session_id":"s","name":"x","version":1}}],"reads_left_out":0}},{{"call_id":"","session_id":"","pool":"","tool":"","tool_version":"","worker":"","node":0,'
        f'"principal":"","request_id":"","outcome":"","error_type":"","arguments_digest":"","result_digest":"",'
        f'"started":"","started_ms":0,"duration_us":0,"queued_us":0,"reads":[],"reads_left_out":0}}]}}',
        {"session_id": "", "revision": 0},
    ),
    Sample(
        "SubjectPut",
        {"subject_put": pb.SubjectPut(name="ada", key_id="0f")},
        '{"name":"ada","key_id":"0f"}',
        {"session_id": "", "revision": 0},
    ),
    Sample(
        "SubjectErased",
        {"subject_erased": pb.SubjectErased(name="ada", key_id="0f")},
        '{"name":"ada","key_id":"0f"}',
        {"session_id": "", "revision": 0},
    ),
    Sample(
        "EventsArchived",
        {"events_archived": pb.EventsArchived(first=1, last=300, root=DIGEST, hash=DIGEST[::-1])},
        f'{{"first":1,"last":300,"root":"{DIGEST.hex()}","hash":"{DIGEST[::-1].hex()}"}}',
        {"session_id": "", "revision": 0},
    ),
]
SAMPLES = KINDS + VALUES


def shown_time(ms: int) -> str:
    """Known answers only."""
    return {
        0: "",
        253_402_207_201_000: "",
        1_700_000_000_123: "2023-11-14T22:13:20.123Z",
        951_782_400_000: "2000-02-29T00:00:00.000Z",
    }[ms]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def frontier_of(leaves: Sequence[bytes]) -> list[str]:
    roots, at = [], 0
    for bit in range(40, -1, -1):
        if len(leaves) >> bit & 1:
            roots.append(root_of(leaves[at : at + (1 << bit)]).hex())
            at += 1 << bit
    return roots


class Signer:
    """A cluster's key."""

    def __init__(self, name: str = "test-cluster", seed: bytes = bytes(32)) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = b"\x01" + self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.name = name
        self.key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        self.key = f"{name}+{self.key_id.hex()}+{base64.b64encode(public).decode()}"

    def line(self, text: str) -> str:
        signature = self._private.sign(text.encode())
        return f"— {self.name} {base64.b64encode(self.key_id + signature).decode()}\n"

    def note(self, size: int, root: bytes, origin: str = ORIGIN) -> str:
        text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        return f"{text}\n{self.line(text)}"


SIGNER = Signer()


@dataclass
class Export:
    """A file, its manifest, and the log of which they are."""

    lines: list[str]
    manifest: dict[str, Any]
    log: list[bytes]

    @property
    def data(self) -> bytes:
        return "".join(self.lines).encode()

    def checkpoint(self, size: int | None = None, signer: Signer = SIGNER) -> str:
        size = len(self.log) if size is None else size
        return signer.note(size, root_of(self.log[:size]))


def sealed(manifest: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The manifest with size and SHA-256 of other contents."""
    return manifest | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def stored(sample: Sample, position: int) -> pb.Event:
    fields: dict[str, Any] = {
        "position": position,
        "session_id": "s-1",
        "revision": position + 5,
        "raft_index": position * 3,
        "raft_term": 2,
        "time_ms": (1_700_000_000_123, 951_782_400_000)[position % 2],
        "principal": pb.Principal(),
        "cause": pb.Cause(),
    }
    return pb.Event(**(fields | sample.more | sample.payload))


def line_of(sample: Sample, event: pb.Event, data: bytes, chained: bytes, form: str) -> str:
    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    fields = {
        "position": text(event.position),
        "time": text(shown_time(event.time_ms)),
        "time_ms": text(event.time_ms),
        "session": text(event.session_id),
        "revision": text(event.revision),
        "event": text(sample.event),
        "change": sample.change,
        "principal": sample.principal,
        "cause": sample.cause,
        "raft_index": text(event.raft_index),
        "raft_term": text(event.raft_term),
    }
    encoded = text(base64.b64encode(data).decode())
    if form == "jsonl":
        fields |= {"hash": text(chained.hex()), "bytes": encoded}
    else:
        inner = ",".join(f'"{name}":{value}' for name, value in fields.items())
        subject = {"subject": text(event.session_id)} if event.session_id else {}
        fields = {
            "specversion": '"1.0"',
            "id": text(str(event.position)),
            "source": text("/" + ORIGIN),
            "type": text(f"snakepit.{sample.event}"),
            **subject,
            **({} if fields["time"] == '""' else {"time": fields["time"]}),
            "datacontenttype": '"application/json"',
            "data": f"{{{inner}}}",
            "snakepithash": text(chained.hex()),
            "snakepitbytes": encoded,
        }
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}\n"


def export(
    samples: Sequence[Sample], form: str = "jsonl", first: int = 1, signer: Signer | None = SIGNER
) -> Export:
    """An export of the samples from a position on."""
    log: list[bytes] = []
    lines: list[str] = []
    chained = previous = bytes(32)
    for position, sample in enumerate(samples, 1):
        event = stored(sample, position)
        data = event.SerializeToString(deterministic=True)
        if position == first:
            previous = chained
        chained = hashlib.sha256(chained + data).digest()
        log.append(data)
        if position >= first:
            lines.append(line_of(sample, event, data, chained, form))
    last = len(log)
    manifest: dict[str, Any] = {
        "format": "snakepit-export/1",
        "form": form,
        "origin": ORIGIN,
        "first": first,
        "last": last,
        "count": last - first + 1,
        "previous_hash": previous.hex(),
        "last_hash": chained.hex(),
        "frontier": frontier_of(log[: first - 1]),
        "root": root_of(log).hex(),
    }
    made = Export(lines, manifest, log)
    made.manifest = sealed(manifest, made.data)
    if signer is not None:
        made.manifest["checkpoint"] = made.checkpoint(signer=signer)
    return made


def check(
    data: bytes,
    manifest: dict[str, Any] | bytes,
    checkpoint: str | None = None,
    old_checkpoint: str | None = None,
    key: str | None = SIGNER.key,
) -> Verified:
    """Verify without files."""
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest, ensure_ascii=False).encode()
    read = None if key is None else _key.read(key)
    return verify(
        io.BytesIO(data), _manifest.read(text), read, checkpoint=checkpoint, old_checkpoint=old_checkpoint
    )


def test_every_kind_of_event_is_there() -> None:
    fields = pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    assert {of.message_type and of.message_type.name for of in fields} == {sample.event for sample in SAMPLES}
    kinds = pb.Value.DESCRIPTOR.oneofs_by_name["kind"].fields
    there = {sample.payload["variable_set"].value.WhichOneof("kind") for sample in VALUES}
    assert {of.name for of in kinds} == there


@pytest.mark.parametrize("form", ["jsonl", "cloudevents"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.event}-{sample.change[-40:]}")
def test_an_event_of_each_kind_verifies(sample: Sample, form: str) -> None:
    made = export([sample], form)
    verified = check(made.data, made.manifest, made.checkpoint())
    assert (verified.signed_by, verified.signed_to) == ("test-cluster", 1)


@pytest.mark.parametrize("form", ["jsonl", "cloudevents"])
@pytest.mark.parametrize("first", [1, 2, 8, 9, 14, 40, len(SAMPLES)])
def test_ranges_verify_from_anywhere(form: str, first: int) -> None:
    made = export(SAMPLES, form, first)
    for size in range(first - 1, len(SAMPLES) + 1):
        verified = check(made.data, made.manifest, made.checkpoint(), made.checkpoint(size))
        assert verified.signed_to == len(SAMPLES)
