"""The command: what it is given and what it says."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, TextIO

from . import _key, _manifest
from ._export import Verified, verify
from ._fault import Fault, Unusable
from ._processes import jobs_for

VERIFIED: Final = 0
FAILED: Final = 1
USAGE: Final = 2

ABOUT: Final = "Check an export of the log without trusting whoever made it."
CODES: Final = "exit codes: 0 verified, 1 does not verify, 2 wrong usage"
# Of a note, a manifest and a key: more is none.
SMALL_BYTES_MAX: Final = 1024 * 1024


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Unusable(message, "see --help")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    is_json = "--json" in arguments
    # Nothing here makes cycles.
    gc.disable()
    try:
        verified = _verify(_flags(arguments))
    except Unusable as error:
        _complain(error.message, error.hint, None, is_json)
        return USAGE
    except Fault as fault:
        _complain(fault.message, fault.hint, fault.position, is_json)
        return FAILED
    finally:
        gc.enable()
    _tell(verified, is_json)
    return VERIFIED


def _flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m snakepit.verify", description=ABOUT, epilog=CODES, allow_abbrev=False)
    add = parser.add_argument
    add("export", metavar="EXPORT", type=Path, help="the events; EXPORT.manifest.json is beside it")
    add("--checkpoint", metavar="FILE", type=Path, help="the signed checkpoint that you were given")
    add("--old-checkpoint", metavar="FILE", type=Path, help="an earlier one, which has to hold still")
    add("--key", metavar="KEY", help="the cluster's key, or a file with it")
    add("--json", action="store_true", help="answer with a JSON object")
    return parser.parse_args(arguments)


def _verify(flags: argparse.Namespace) -> Verified:
    export: Path = flags.export
    manifest = _small(export.with_name(export.name + ".manifest.json"), "the manifest")
    key = None if flags.key is None else _key.read(_key_text(flags.key))
    checkpoint = _note(flags.checkpoint, "the checkpoint")
    old_checkpoint = _note(flags.old_checkpoint, "the old checkpoint")
    try:
        with export.open("rb") as file:
            read = _manifest.read(manifest)
            jobs = jobs_for(read.last - read.first + 1)
            return verify(file, read, key, checkpoint=checkpoint, old_checkpoint=old_checkpoint, jobs=jobs)
    except OSError as error:
        raise Unusable(f"cannot read the export: {error}", "name the file of the events") from error


def _key_text(given: str) -> str:
    path = Path(given)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if is_file:
        return _text(path, "the key")
    if "+" not in given:
        raise Unusable(f"there is no key in {given}", "give the key's text, or a file with it")
    return given


def _note(path: Path | None, what: str) -> str | None:
    return None if path is None else _text(path, what)


def _text(path: Path, what: str) -> str:
    try:
        return _small(path, what).decode()
    except UnicodeDecodeError:
        raise Fault(f"{what} is not UTF-8", "name the file as you were given it") from None


def _small(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(SMALL_BYTES_MAX + 1)
    except OSError as error:
        raise Unusable(f"cannot read {what}: {error}", "name a file that you can read") from error
    if len(data) > SMALL_BYTES_MAX:
        raise Fault(f"{what} has more than {SMALL_BYTES_MAX} bytes", "name the file as you were given it")
    return data


def _told(verified: Verified) -> dict[str, object]:
    manifest = verified.manifest
    return {
        "verified": True,
        "origin": manifest.origin,
        "form": manifest.form,
        "events": manifest.last - manifest.first + 1,
        "first": manifest.first,
        "last": manifest.last,
        "root": b64encode(manifest.root).decode(),
        "hash": manifest.last_hash.hex(),
        "compared": [{"what": each.what, "size": each.checkpoint.size} for each in verified.compared],
        "signed_by": verified.signed_by,
        "signed_to": verified.signed_to,
    }


def _lines(verified: Verified) -> list[tuple[str, str]]:
    """The same for people."""
    manifest = verified.manifest
    lines = [
        ("log", manifest.origin),
        ("events", str(manifest.last - manifest.first + 1)),
        ("positions", f"{manifest.first} to {manifest.last}"),
        ("root", b64encode(manifest.root).decode()),
    ]
    if verified.compared:
        compared = [f"{each.what} of size {each.checkpoint.size}" for each in verified.compared]
        lines.append(("compared", ", ".join(compared)))
    if manifest.first > 1:
        # The tree says what was logged before; the chain's hashes are in no checkpoint.
        lines.append(("chain", f"goes on from {manifest.previous_hash.hex()[:12]}, which is not signed"))
    if verified.signed_by is None:
        lines.append(("signed by", "nobody that was checked: no key was given"))
        lines.append(("verdict", "intact, but anybody may have made it"))
        return lines
    lines.append(("signed by", verified.signed_by))
    if verified.signed_to < manifest.last:
        behind = f"{max(verified.signed_to + 1, manifest.first)} to {manifest.last}"
        lines.append(("verdict", f"verified up to {verified.signed_to}, nobody signed {behind}"))
    else:
        lines.append(("verdict", "verified"))
    return lines


def _tell(verified: Verified, is_json: bool) -> None:
    if is_json:
        _write(sys.stdout, json.dumps(_told(verified), indent=2))
        return
    for name, value in _lines(verified):
        _write(sys.stdout, f"{name:<11}{value}")


def _complain(message: str, hint: str, position: int | None, is_json: bool) -> None:
    if is_json:
        told = {"verified": False, "error": message, "hint": hint, "position": position}
        _write(sys.stdout, json.dumps(told, indent=2))
        return
    where = "" if position is None else f"event {position}: "
    _write(sys.stderr, f"error: {where}{message}\nhint: {hint}")


def _write(to: TextIO, text: str) -> None:
    """A line, whatever the terminal can show."""
    encoding = to.encoding or "utf-8"
    to.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
