"""Exports that somebody changed: none of them verifies, and no change brings the verifier down."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from snakepit._proto import events_v1_pb2 as pb
from snakepit.verify._fault import Fault
from tests.test_verify_samples import (
    ORIGIN,
    SAMPLES,
    SIGNER,
    Export,
    Signer,
    check,
    export,
    line_of,
    root_of,
    sealed,
    stored,
)

MUTATIONS = 10_000
EVENTS = 12
OTHER = Signer("test-cluster", b"\x01" * 32)
# Around numbers that Python would round or write in another way.
OPEN, CLOSE = "\ue000", "\ue001"


@dataclass
class Case:
    """An export, what its auditor was given, and the number of its samples."""

    made: Export
    samples: list[int]
    first: int
    checkpoint: str | None


Changed = tuple[bytes, dict[str, Any] | bytes, str | None]


def cases() -> Iterator[Case]:
    for at in range(0, len(SAMPLES), 8):
        numbers = [(at + step) % len(SAMPLES) for step in range(EVENTS)]
        samples = [SAMPLES[number] for number in numbers]
        for form in ("jsonl", "cloudevents"):
            for first in (1, 6, 8, 9):
                made = export(samples, form, first)
                for checkpoint in (None, made.checkpoint()):
                    yield Case(made, numbers, first, checkpoint)


def kept(text: str) -> object:
    return int(text) if len(text) < 20 and str(int(text)) == text else f"{OPEN}{text}{CLOSE}"


def parsed(text: str) -> Any:
    return json.loads(text, parse_int=kept, parse_float=lambda number: f"{OPEN}{number}{CLOSE}")


def rounded(text: str) -> Any:
    """Digits that no float32 holds do not count."""
    return json.loads(text, parse_int=kept, parse_float=lambda number: f"{OPEN}{float(number):.5e}{CLOSE}")


def written(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace(f'"{OPEN}', "").replace(f'{CLOSE}"', "")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, name))


def other_value(draw: random.Random, value: Any) -> Any:
    """Something else of the same kind, mostly."""
    if draw.random() < 0.1:
        return draw.choice([None, True, False, 0, 1, "", "x", [], {}, f"{OPEN}1.5{CLOSE}", -(2**70)])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice(
            [value + 1, value - 1, -value - 1, value * 2 + 1, str(value), f"{OPEN}{value}.0{CLOSE}"]
        )
    if isinstance(value, str) and value.startswith(OPEN):
        number = value.strip(OPEN + CLOSE)
        return OPEN + (number[1:] if number.startswith("-") else f"-{number}") + CLOSE
    if isinstance(value, str):
        at = draw.randrange(len(value) + 1)
        new = draw.choice("aZ0=+/ \n\x00é\u2028-")
        return draw.choice([value[:at] + new + value[at:], value[:at] + new + value[at + 1 :], value[:at]])
    if isinstance(value, list):
        return draw.choice([[*value, None], value[:-1], value[::-1], [*value, *value]])
    if isinstance(value, dict):
        return draw.choice([{**value, "x": None}, dict(list(value.items())[1:]), {}, {"": value}])
    return draw.choice([0, False, "", "null"])


def with_other(draw: random.Random, value: Any) -> Any:
    """A copy in which one thing is another, or is not there."""
    before = json.dumps(value, sort_keys=True)
    paths = [path for path in leaves(value) if path]
    while True:
        changed = copy.deepcopy(value)
        *way, last = draw.choice(paths)
        place = changed
        for step in way:
            place = place[step]
        if draw.random() < 0.15:
            del place[last]
        else:
            place[last] = other_value(draw, place[last])
        if json.dumps(changed, sort_keys=True) != before:
            return changed


def flip(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]


def bits(draw: random.Random, case: Case) -> Changed:
    return flip(draw, case.made.data), case.made.manifest, case.checkpoint


def bits_sealed(draw: random.Random, case: Case) -> Changed:
    def meant(data: bytes) -> str | None:
        try:
            lines = data.decode().split("\n")
            return json.dumps([rounded(line) if line else None for line in lines], sort_keys=True)
        except ValueError:
            return None

    before = meant(case.made.data)
    while True:
        data = flip(draw, case.made.data)
        if meant(data) != before:
            return data, sealed(case.made.manifest, data), case.checkpoint


def lines(draw: random.Random, case: Case) -> Changed:
    changed = list(case.made.lines)
    at, to = draw.randrange(len(changed)), draw.randrange(len(changed))
    match draw.randrange(5):
        case 0:
            del changed[at]
        case 1:
            changed.insert(to, changed[at])
        case 2:
            to = (at + 1) % len(changed) if len(changed) > 1 else at
            changed[at], changed[to] = changed[to], changed[at]
        case 3:
            changed.insert(to, draw.choice(["\n", "{}\n", "null\n", " \n"]))
        case _:
            changed[at] = draw.choice(
                ["", "\n", " " + changed[at], changed[at][:-1] + "\r\n", changed[at] + "\n"]
            )
    if changed == case.made.lines:
        del changed[at]
    data = "".join(changed).encode()
    manifest = case.made.manifest
    if draw.random() < 0.7:
        manifest = sealed(manifest, data)
    if draw.random() < 0.2:
        count = len(changed)
        manifest = manifest | {"count": count, "last": manifest["first"] + count - 1}
    return data, manifest, case.checkpoint


def cut(draw: random.Random, case: Case) -> Changed:
    data = case.made.data[: draw.randrange(len(case.made.data))]
    manifest = sealed(case.made.manifest, data) if draw.random() < 0.7 else case.made.manifest
    return data, manifest, case.checkpoint


def readable(draw: random.Random, case: Case) -> Changed:
    changed = list(case.made.lines)
    at = draw.randrange(len(changed))
    changed[at] = written(with_other(draw, parsed(changed[at]))) + "\n"
    data = "".join(changed).encode()
    return data, sealed(case.made.manifest, data), case.checkpoint


def forged(draw: random.Random, case: Case) -> Changed:
    """Another event, and everything behind it made to fit, up to the signature."""
    position = draw.randrange(case.first, EVENTS + 1)
    log = list(case.made.log)
    form = case.made.manifest["form"]
    chained = bytes.fromhex(case.made.manifest["previous_hash"])
    changed = []
    for at in range(case.first, EVENTS + 1):
        sample = SAMPLES[case.samples[at - 1]]
        event = stored(sample, at)
        if at == position:
            event.raft_term = 2**40
            event.revision = draw.randrange(2**50)
        log[at - 1] = event.SerializeToString(deterministic=True)
        if at == position and draw.random() < 0.3:
            # What nobody is shown, and what a reader of today's schema would pass over.
            event.answer.CopyFrom(pb.Answer(done=pb.DoneAnswer(existed=True)))
            log[at - 1] = event.SerializeToString(deterministic=True) + draw.choice([b"", b"\xa0\x06\x00"])
        chained = hashlib.sha256(chained + log[at - 1]).digest()
        changed.append(line_of(sample, event, log[at - 1], chained, form))
    root = root_of(log)
    data = "".join(changed).encode()
    manifest = sealed(case.made.manifest, data) | {"last_hash": chained.hex(), "root": root.hex()}
    match draw.randrange(3):
        case 0:
            manifest["checkpoint"] = OTHER.note(EVENTS, root)
        case 1 if case.checkpoint is not None:
            del manifest["checkpoint"]
        case _:
            text, _, line = case.made.checkpoint().partition("\n\n")
            new = f"{ORIGIN}\n{EVENTS}\n{base64.b64encode(root).decode()}"
            manifest["checkpoint"] = draw.choice([f"{text}\n\n{line}", f"{new}\n\n{line}"])
    return data, manifest, case.checkpoint


def other_manifest(draw: random.Random, case: Case) -> Changed:
    manifest = case.made.manifest
    if draw.random() < 0.3:
        text = json.dumps(manifest, ensure_ascii=False).encode()
        while True:
            changed = flip(draw, text)
            try:
                if json.loads(changed) == manifest:
                    continue
            except ValueError:
                pass
            return case.made.data, changed, case.checkpoint
    if draw.random() < 0.1:
        name = draw.choice(list(manifest))
        twice = json.dumps(manifest)[:-1] + f", {json.dumps(name)}: {json.dumps(manifest[name])}}}"
        return case.made.data, twice.encode(), case.checkpoint
    while True:
        changed_manifest = with_other(draw, manifest)
        # One without a checkpoint is as good, where the auditor has one.
        if case.checkpoint is None or "checkpoint" in changed_manifest:
            return case.made.data, written(changed_manifest).encode(), case.checkpoint


def other_checkpoint(draw: random.Random, case: Case) -> Changed:
    note = case.made.checkpoint()
    root = root_of(case.made.log)
    changed: str | None = None
    while changed is None or changed == note:
        match draw.randrange(6):
            case 0:
                try:
                    changed = flip(draw, note.encode()).decode()
                except UnicodeDecodeError:
                    changed = None
            case 1:
                changed = OTHER.note(EVENTS, root)
            case 2:
                changed = SIGNER.note(EVENTS, hashlib.sha256(root).digest())
            case 3:
                changed = SIGNER.note(draw.choice([*range(EVENTS), EVENTS + 1, 2**64 - 1]), root)
            case 4:
                changed = SIGNER.note(EVENTS, root, ORIGIN + draw.choice("0aé"))
            case _:
                changed = other_value(draw, note) or ""
                if not isinstance(changed, str):
                    changed = None
    return case.made.data, case.made.manifest, changed


KINDS = (bits, bits_sealed, lines, cut, readable, readable, forged, other_manifest, other_checkpoint)


def test_no_change_goes_unseen() -> None:
    seed = int(os.environ.get("SNAKEPIT_VERIFY_SEED") or secrets.randbits(32))
    print(f"SNAKEPIT_VERIFY_SEED={seed}")
    draw = random.Random(seed)
    drawn = list(cases())
    for case in drawn:
        check(case.made.data, case.made.manifest, case.checkpoint)
    for number in range(MUTATIONS):
        case = draw.choice(drawn)
        mutation = draw.choice(KINDS)
        data, manifest, checkpoint = mutation(draw, case)
        about = f"seed {seed}: change {number}, {mutation.__name__}"
        try:
            check(data, manifest, checkpoint)
        except Fault as fault:
            told = fault.message
        except Exception as error:
            raise AssertionError(f"{about}, ends with {error!r}") from error
        else:
            raise AssertionError(f"{about}, is not seen")
        assert told, about
        assert told.isprintable(), about
