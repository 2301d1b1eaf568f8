"""The command: what it is given and what it says."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from . import _key, _manifest
from ._export import Verified, verify
from ._fault import Fault, Unusable

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
    # Nothing here makes cycles.
    gc.disable()
    is_json = "--json" in arguments
    try:
        flags = _flags(arguments)
        verified = _verify(flags)
    except Unusable as error:
        _say({"verified": False, "error": error.message, "hint": error.hint}, is_json)
        return USAGE
    except Fault as fault:
        told: dict[str, object] = {"verified": False, "error": fault.message, "hint": fault.hint}
        if fault.position is not None:
            told["position"] = fault.position
        _say(told, is_json)
        return FAILED
    finally:
        gc.enable()
    _say(_told(verified, flags.key is not None), is_json)
    return VERIFIED


def _flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m snakepit.verify", description=ABOUT, epilog=CODES, allow_abbrev=False)
    parser.add_argument("export", metavar="EXPORT", type=Path, help="the events; EXPORT.manifest.json is beside it")
    parser.add_argument("--checkpoint", metavar="FILE", type=Path, help="the signed checkpoint that you were given")
    parser.add_argument("--old-checkpoint", metavar="FILE", type=Path, help="one of before, that has to hold still")
    parser.add_argument("--key", metavar="KEY", help="the cluster's key, or a file with it")
    parser.add_argument("--json", action="store_true", help="answer with a JSON object")
    return parser.parse_args(arguments)


def _verify(flags: argparse.Namespace) -> Verified:
    export: Path = flags.export
    manifest = _small(export.with_name(export.name + ".manifest.json"), "the manifest")
    key = None if flags.key is None else _key.read(_key_text(flags.key))
    notes = [
        None if path is None else _text(path, what)
        for path, what in ((flags.checkpoint, "the checkpoint"), (flags.old_checkpoint, "the old checkpoint"))
    ]
    try:
        with export.open("rb") as file:
            return verify(file, _manifest.read(manifest), key, *notes)
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


def _told(verified: Verified, has_key: bool) -> dict[str, object]:
    manifest = verified.manifest
    told: dict[str, object] = {
        "verified": True,
        "origin": manifest.origin,
        "form": manifest.form,
        "events": manifest.last - manifest.first + 1,
        "first": manifest.first,
        "last": manifest.last,
        "root": b64encode(manifest.root).decode(),
        "hash": manifest.last_hash.hex(),
        "compared": [{"what": each.what, "size": each.checkpoint.size} for each in verified.compared],
        "signed_to": verified.signed_to,
    }
    return told
