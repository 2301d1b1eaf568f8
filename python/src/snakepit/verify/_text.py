"""Base64 and hexadecimal as they are written here: in one way only."""

from __future__ import annotations

import binascii
import re
from typing import Final

_HEX: Final = re.compile(r"[0-9a-f]*")


def from_base64(text: str) -> bytes | None:
    """Its bytes; none where it is not canonical."""
    try:
        data = binascii.a2b_base64(text)
    except ValueError:
        return None
    return data if binascii.b2a_base64(data, newline=False) == text.encode() else None


def from_hash(text: object) -> bytes | None:
    """The 32 bytes of a hash in hexadecimal."""
    if isinstance(text, str) and len(text) == 64 and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    return None
