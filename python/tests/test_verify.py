from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

import snakepit.verify
from snakepit._proto import events_v1_pb2 as pb
from snakepit.verify import _arguments, _export, _key, _manifest, _note, _wire
from snakepit.verify._documents import document
from snakepit.verify._fault import Fault, Unusable
from snakepit.verify._reals import Real
from snakepit.verify._schema import EVENT, MESSAGES
from snakepit.verify._tree import Tree
from tests.test_verify_samples import (
    KINDS,
    ORIGIN,
    SAMPLES,
    SIGNER,
    Export,
    Signer,
    check,
    export,
    line_of,
    of_value,
    root_of,
    sealed,
    stored,
)

# Leaves and roots of the reference implementation of RFC 6962.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def written(tmp_path: Path, made: Export) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(made.data)
    (tmp_path / "events.jsonl.manifest.json").write_text(json.dumps(made.manifest, indent=2) + "\n")
    (tmp_path / "checkpoint").write_text(made.checkpoint())
    (tmp_path / "key").write_text(SIGNER.key + "\n")
    return path


def refusal(made: Export, **more: Any) -> str:
    with pytest.raises(Fault) as fault:
        check(made.data, made.manifest, **more)
    position = fault.value.position
    return fault.value.message if position is None else f"{position}: {fault.value.message}"


def with_line(made: Export, index: int, line: str) -> Export:
    lines = [*made.lines[:index], line, *made.lines[index + 1 :]]
    data = "".join(lines).encode()
    return Export(lines, sealed(made.manifest, data), made.log)


def test_the_tree_is_that_of_rfc_6962() -> None:
    tree = Tree()
    for size, root in enumerate(ROOTS):
        assert (tree.root().hex(), root_of(LEAVES[:size]).hex()) == (root, root)
        if size < len(LEAVES):
            tree.append(LEAVES[size])
    known = {size: root.hex() for size, root in tree.earlier()}
    assert known == {0: ROOTS[0], 8: ROOTS[8]}
    with pytest.raises(ValueError, match="2 perfect subtrees"):
        Tree(3, [bytes(32)])


def test_a_tree_goes_on_from_its_frontier() -> None:
    for first in range(9):
        edge, at = [], 0
        for bit in (3, 2, 1, 0):
            if first >> bit & 1:
                edge.append(root_of(LEAVES[at : at + (1 << bit)]))
                at += 1 << bit
        tree = Tree(first, edge)
        for size, root in tree.earlier():
            assert root.hex() == ROOTS[size]
        for leaf in LEAVES[first:]:
            tree.append(leaf)
        assert tree.root().hex() == ROOTS[8]


@pytest.mark.parametrize(
    ("text", "name", "key_id"),
    [
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "PeterNeumann", "c74f20a3"),
        (
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org",
            "033de0ae",
        ),
    ],
)
def test_keys_of_others_are_read(text: str, name: str, key_id: str) -> None:
    key = _key.read(text + "\n")
    assert (key.name, key.key_id.hex()) == (name, key_id)


def test_a_note_of_others_is_checked() -> None:
    # The example of signed notes, whose text is no checkpoint.
    key = _key.read("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    encoded = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signature = _note._signature(f"— PeterNeumann {encoded}", "it")
    key.check(_note.Checkpoint("", 0, b"", text.encode(), (signature,)), "it")
    with pytest.raises(Fault, match="the signature of PeterNeumann on it is wrong"):
        key.check(_note.Checkpoint("", 0, b"", text.lower().encode(), (signature,)), "it")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        SIGNER.key[:-1],
        SIGNER.key.replace("test", "best"),
        "a b+" + SIGNER.key.partition("+")[2],
        "x+00000000+AAAA",
    ],
)
def test_keys_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Unusable):
        _key.read(text)


def test_the_schema_is_that_of_the_nodes() -> None:
    of_type = FieldDescriptor
    kinds = {
        of_type.TYPE_UINT64: "uint64",
        of_type.TYPE_UINT32: "uint32",
        of_type.TYPE_SINT64: "sint64",
        of_type.TYPE_BOOL: "bool",
        of_type.TYPE_DOUBLE: "double",
        of_type.TYPE_STRING: "string",
        of_type.TYPE_BYTES: "bytes",
    }

    def kind(of: Any) -> str:
        message = of.message_type
        if message is not None and message.GetOptions().map_entry:
            return f"map {kind(message.fields_by_name['value'])}"
        name = kinds[of.type] if message is None else message.name
        return f"many {name}" if of.is_repeated else str(name)

    theirs = {
        name: {
            of.number: (of.name, kind(of), *([of.containing_oneof.name] if of.containing_oneof else []))
            for of in message.fields
        }
        for name, message in pb.DESCRIPTOR.message_types_by_name.items()
    }
    assert theirs == MESSAGES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x58\x00", "unknown field 11"),
        (b"\xa0\x06\x00", "unknown field 100"),
        (b"\x09" + bytes(8), "Event.position has the wire type 1"),
        (b"\x13", "Event.session_id has the wire type 3"),
        (b"\x08", "in the middle"),
        (b"\x08\x80", "in the middle"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x08" + b"\x80" * 10 + b"\x00", "more than 10 bytes"),
        (b"\x12\x02a", "is cut off"),
        (b"\x12\x01\xff", "not UTF-8"),
        (b"\x12\x03\xed\xa0\x80", "not UTF-8"),
        (b"\x08\x01\x08\x01", "Event.position stands twice"),
        (b"\x3a\x02\x10\x02", "Principal.verified is 2"),
        (b"\x3a\x01\x10\x00", "Principal ends in the middle"),
        (b"\xaa\x01\x00\xb2\x01\x00", "Event.payload stands twice"),
        (b"\xfa\x01\x05\x1a\x03\x09\x00\x00", "Value.kind is cut off"),
        (b"\xa2\x01\x04\x0a\x00\x0a\x00", "a key of SessionCreated.metadata stands twice"),
        (b"\xb2\x04\x06\x50\x80\x80\x80\x80\x10", "CallStarted.attempt is 4294967296"),
    ],
)
def test_bytes_that_are_no_event_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(_wire.Damaged, match=why):
        _wire.decode(EVENT, data)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (pb.Event(position=1), "Event has no payload"),
        (pb.Event(position=1, variable_set=pb.VariableSet()), "the value is missing"),
        (pb.Event(position=1, variable_set=pb.VariableSet(value=pb.Value())), "the value is missing"),
        (pb.Event(position=1, session_touched=pb.SessionTouched(), answer=pb.Answer()), "Answer has no kind"),
        *(
            (pb.Event(position=1, variable_set=pb.VariableSet(value=value)), why)
            for value, why in (
                (pb.Value(null_value=False), "null_value is false"),
                (pb.Value(big_integer_value="0_1"), "no decimal number"),
                (pb.Value(array_value=pb.Array(dtype="complex64")), "unknown one"),
                (
                    pb.Value(array_value=pb.Array(dtype="int8", shape=[2], data=b"1")),
                    "does not fit its shape",
                ),
                (pb.Value(array_value=pb.Array(dtype="int8", shape=[1] * 33, data=b"1")), "does not fit"),
            )
        ),
    ],
)
def test_events_that_make_no_sense_are_refused(event: pb.Event, why: str) -> None:
    made = export([KINDS[1]])
    data = event.SerializeToString()
    line = line_of(KINDS[1], stored(KINDS[1], 1), data, hashlib.sha256(bytes(32) + data).digest(), "jsonl")
    assert why in refusal(with_line(made, 0, line))


def test_documents_are_shown_as_json_or_as_null() -> None:
    assert document('{"a": [1, 1.0, 1E2]}') == {"a": [b"1", b"1.0", b"1e+2"]}
    assert document('{"a": 1, "a": 2}') == {"a": b"2"}
    for text in ("", "{", "[1] x", "NaN", "[Infinity]", '"\x01"', '["\\udc00"]', '{"\\ud800": 1}', "01"):
        assert document(text) is None
    assert document("[" * 127 + "]" * 127) is not None
    assert document("[" * 128 + "]" * 128) is None
    assert document("[" * 100_000 + "]" * 100_000) is None


def test_floats_are_compared_as_floats() -> None:
    for text, number in ((b"1.50", 1.5), (b"1e+2", 100.0), (b"0.1", 0.1), (b"-0.0", -0.0)):
        assert Real(number) == text
    wrong = ((b"1", 1.0), (b"0.0", -0.0), (b"1.0", float("nan")), ("NaN", 1.0), ("Infinity", -float("inf")))
    for other, number in (*wrong, (b"1e+999", float("inf")), (None, 0.0), (b"0.10000000000000002", 0.1)):
        assert Real(number) != other

    def single(bits: int) -> Real:
        return Real(struct.unpack("<f", struct.pack("<I", bits))[0], True)

    largest = 0x7F7FFFFF
    assert single(largest) == b"3.4028235e+38"
    assert single(largest) != b"3.4028236e+38"
    assert single(1) == b"1e-45"
    # Halfway from 16777216 to the next one: to the even one.
    assert single(0x4B800000) == b"16777217.0"
    assert single(0x4B800001) != b"16777217.0"
    # Nearest to this one, which only its digits tell: the double is halfway between two.
    assert single(0x15AE43FD) == b"7.038531e-26"
    assert single(0x15AE43FE) != b"7.038531e-26"


def test_the_first_difference_is_told() -> None:
    made = export([KINDS[0], of_value(pb.Value(integer_value=7), "7"), KINDS[1]])
    line = made.lines[1]

    def told(old: str, new: str) -> str:
        assert old in line
        return refusal(with_line(made, 1, line.replace(old, new)))

    assert told('"value":7', '"value":8') == "2: change.value is 8, the bytes say 7"
    assert told('"value":7', '"value":7.0') == "2: change.value is 7.0, the bytes say 7"
    assert told('"value":7', '"value":"7"') == '2: change.value is "7", the bytes say 7'
    assert told(',"value":7', "") == "2: change.value is missing, the bytes say 7"
    assert told('"b":"2"', '"b":"2","c":""') == '2: change.metadata.c is "", there is no such field'
    assert told('"b":"2"', '"a":""') == '2: the key "a" stands twice in an object'
    assert told('"cause":{}', '"cause":{"\\u001b[2J":1}').startswith('2: "cause.\\u001b[2J" is 1')
    assert told('"session":"s-1"', '"session":"s-\\ud800"').startswith('2: session is "s-\\ud800"')
    assert told('"position":2', '"position":NaN') == "2: NaN is no JSON"
    assert told("}\n", "} \n") == "2: its line is not one JSON object"
    assert told("}\n", "}") == "2: its line is not one JSON object"
    assert told('"raft_term":2', '"raft_term":true') == "2: raft_term is true, the bytes say 2"
    assert "is missing or not in base64" in told('"bytes":"', '"bytes":"=')
    hashed = json.loads(line)["hash"]
    assert told(hashed, hashed.upper()).startswith('2: its hash is "')


def test_what_is_beside_the_events_has_to_agree() -> None:
    made = export(SAMPLES[:5])
    other = Signer("test-cluster", b"\x01" * 32)
    behind = Export([*made.lines, made.lines[-1]], made.manifest, made.log)
    short = Export(made.lines[:-1], made.manifest, made.log)
    assert refusal(behind).startswith("the file goes on behind event 5")
    assert refusal(short) == "5: the file ends in front of it"
    assert refusal(made, key=other.key) == "the manifest's checkpoint is not signed by test-cluster"
    assert "is wrong" in refusal(made, checkpoint=made.checkpoint().replace("\n5\n", "\n4\n"))
    assert "the export ends at 5" in refusal(made, checkpoint=SIGNER.note(6, bytes(32)))
    assert refusal(made, checkpoint=SIGNER.note(3, bytes(32))).startswith("the root at size 3 is ")
    assert refusal(made, old_checkpoint=SIGNER.note(3, bytes(32))).startswith("the root at size 3 is ")
    assert "snakepit/other" in refusal(made, checkpoint=SIGNER.note(5, root_of(made.log), "snakepit/other"))
    unsigned = export(SAMPLES[:5], signer=None)
    assert refusal(unsigned) == "the manifest has no checkpoint"
    assert check(unsigned.data, unsigned.manifest, key=None).signed_by is None
    # Those of others are passed over, in front and behind.
    text, own = made.checkpoint().rsplit("\n\n", 1)
    more = Signer("witness", b"\x02" * 32).line(text + "\n")
    assert check(made.data, made.manifest, f"{text}\n\n{more}{own}{more}").signed_to == 5
    late = export(SAMPLES[:14], first=13)
    for size in (0, 8, 12, 13, 14):
        check(late.data, late.manifest, old_checkpoint=late.checkpoint(size))
    assert "of size 11, the export begins at 13" in refusal(late, old_checkpoint=late.checkpoint(11))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "a\n\nb",
        f"{ORIGIN}\n1\n{'A' * 43}=\n\n",
        f"{ORIGIN}\n01\n{'A' * 43}=\n\n— a AAAAAAA=\n",
        f"{ORIGIN}\n99999999999999999999\n{'A' * 43}=\n\n— a AAAAAAA=\n",
        f"{ORIGIN}\n1\n{'A' * 42}B=\n\n— a AAAAAAA=\n",
        f"{ORIGIN}\n1\nAAAA\n\n— a AAAAAAA=\n",
        f"{ORIGIN}\n1\n{'A' * 43}=\nmore\n\n— a AAAAAAA=\n",
        f"{ORIGIN}\n1\n{'A' * 43}=\n\n- a AAAAAAA=\n",
        f"{ORIGIN}\n1\n{'A' * 43}=\n\n— a+b AAAAAAA=\n",
        f"{ORIGIN}\n1\n{'A' * 43}=\n\n— a AAAAAAA=",
        f"{ORIGIN}\r\n1\n{'A' * 43}=\n\n— a AAAAAAA=\n",
        f"other/log\n1\n{'A' * 43}=\n\n— a AAAAAAA=\n",
    ],
)
def test_notes_that_are_none_are_refused(note: str) -> None:
    with pytest.raises(Fault, match="it"):
        _note.read(note, "it")


def test_no_events_are_an_export_too() -> None:
    for samples, first in ((SAMPLES[:0], 1), (SAMPLES[:5], 6)):
        made = export(samples, first=first)
        assert (made.data, made.manifest["count"]) == (b"", 0)
        made.manifest["previous_hash"] = made.manifest["last_hash"]
        check(b"", made.manifest, made.checkpoint())


def test_the_command_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = export(SAMPLES, first=9)
    path = str(written(tmp_path, made))
    key, checkpoint = str(tmp_path / "key"), str(tmp_path / "checkpoint")
    assert _arguments.main([path, "--key", key, "--checkpoint", checkpoint]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"log        {ORIGIN}"
    assert lines[-2:] == ["signed by  test-cluster", "verdict    verified"]
    assert "chain      goes on from" in "\n".join(lines)
    assert _arguments.main([path, "--key", SIGNER.key, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["signed_by"], told["signed_to"]) == (True, "test-cluster", len(SAMPLES))
    assert _arguments.main([path]) == 0
    assert "signed by  nobody that was checked: no key was given" in capsys.readouterr().out
    Path(path).write_bytes(made.data.replace(b'"s-1"', b'"s-2"', 1))
    assert _arguments.main([path, "--key", key]) == 1
    assert capsys.readouterr().err == (
        'error: event 9: session is "s-2", the bytes say "s-1"\n'
        "hint: the export was changed or is damaged: get it again, and keep this one\n"
    )
    assert _arguments.main([path, "--key", key, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["position"]) == (False, 9)


def test_events_behind_the_checkpoint_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = export(SAMPLES[:5], signer=None)
    path = written(tmp_path, made)
    (tmp_path / "checkpoint").write_text(made.checkpoint(3))
    arguments = [str(path), "--key", SIGNER.key, "--checkpoint", str(tmp_path / "checkpoint")]
    assert _arguments.main(arguments) == 0
    assert "verdict    verified up to 3, nobody signed 4 to 5\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--wrong"],
        ["missing"],
        ["events.jsonl", "--key", "missing"],
        ["events.jsonl", "--key", "a+b"],
        ["events.jsonl", "--checkpoint", "missing"],
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, export(SAMPLES[:1]))
    monkeypatch.chdir(tmp_path)
    assert _arguments.main(arguments) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


def test_without_cryptography_signatures_are_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(tmp_path, export(SAMPLES[:1])))
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert _arguments.main([path, "--key", SIGNER.key]) == 2
    assert "hint: pip install 'cryptography>=42'" in capsys.readouterr().err
    assert _arguments.main([path]) == 0


@pytest.mark.parametrize("form", ["jsonl", "cloudevents"])
def test_several_processes_say_what_one_says(form: str) -> None:
    made = export(SAMPLES * 10, form)
    line = json.loads(made.lines[600])
    wrong = with_line(made, 600, json.dumps({**line, "x": 1}) + "\n")
    for each, position in ((made, None), (wrong, 601)):
        manifest = _manifest.read(json.dumps(each.manifest).encode())
        for jobs in (1, 2):
            found = None
            try:
                _export.verify(io.BytesIO(each.data), manifest, jobs=jobs)
            except Fault as fault:
                found = fault.position
            assert found == position


ALONE = """
import runpy, sys
sys.argv = [sys.argv[1], *sys.argv[2:]]
before = set(sys.modules)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as done:
    assert not done.code, done.code
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = loaded - set(sys.stdlib_module_names) - {"__main__"}
print(*sorted(foreign))
"""


def test_it_runs_alone(tmp_path: Path) -> None:
    path = written(tmp_path, export(SAMPLES))
    package = Path(snakepit.verify.__file__).parent
    arguments = [str(path), "--checkpoint", str(tmp_path / "checkpoint")]
    for key, wanted in (([], set()), (["--key", SIGNER.key], {"cryptography"})):
        ran = subprocess.run(
            [sys.executable, "-I", "-c", ALONE, str(package), *arguments, *key],
            capture_output=True,
            text=True,
            check=True,
        )
        foreign = set(ran.stdout.splitlines()[-1].split())
        # What cryptography itself brings along.
        brought = {"_cffi_backend", "_openssl"}
        assert foreign - brought == {"snakepit_verify_alone", *wanted}
    for command in (["-m", "snakepit.verify"], [str(package)]):
        ran = subprocess.run(
            [sys.executable, *command, *arguments, "--key", SIGNER.key],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert ran.stdout.endswith("verdict    verified\n")


def test_it_loads_nothing_else_of_snakepit() -> None:
    code = (
        "import sys, snakepit.verify._arguments\n"
        "print(*sorted(n for n in sys.modules if n.startswith(('snakepit', 'grpc', 'google', 'numpy'))))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = [name for name in ran.stdout.split() if not name.startswith("snakepit.verify")]
    assert others == ["snakepit", "snakepit.errors"]
