"""The trace that a call belongs to, as W3C has it: what the call asks of its node is part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from snakepit._methods import Metadata

PARENT: Final = "traceparent"
STATE: Final = "tracestate"
# What longer ones say need not be passed on.
_STATE_CHARS_MAX: Final = 512
_PARENT_FORM: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def of(metadata: Mapping[str, str]) -> Metadata:
    """The headers for what a call with this metadata asks; none where it belongs to no trace."""
    parent = metadata.get(PARENT, "")
    if not _PARENT_FORM.fullmatch(parent):
        return ()
    state = metadata.get(STATE, "")
    if not state or len(state) > _STATE_CHARS_MAX or not (state.isascii() and state.isprintable()):
        return ((PARENT, parent),)
    return ((PARENT, parent), (STATE, state))
