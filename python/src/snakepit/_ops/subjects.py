"""Subjects: whose values sealed sessions hold, and their erasure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from snakepit import _methods
from snakepit._proto import session_v1_pb2 as pb
from snakepit._scope import Call, Page, Scope

PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose values sealed sessions hold. `erased_at` is None as long as they can be read."""

    name: str
    key_id: str
    created_at: datetime
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of an erasure: `erased` is False where it was done before.

    `pending_nodes` have not said yet that the key is gone there; those that are down destroy it when they are
    back.
    """

    erased: bool
    pending_nodes: Sequence[int]


def erase(subject: str) -> Call[Erasure]:
    """Destroy the subject's key."""

    def read(answer: pb.EraseSubjectResponse) -> Erasure:
        return Erasure(bool(answer.erased), tuple(answer.pending_nodes))

    return Scope().call(_methods.ERASE_SUBJECT, pb.EraseSubjectRequest(subject=subject), read)


def listed(*, page_size: int = PAGE, token: str = "") -> Call[Page[Subject]]:
    """All of them, page by page."""
    request = pb.ListSubjectsRequest(page_size=page_size, page_token=token)

    def read(answer: pb.ListSubjectsResponse) -> Page[Subject]:
        token = answer.next_page_token
        following = listed(page_size=page_size, token=token) if token else None
        return Page([_subject(found) for found in answer.subjects], following)

    return Scope().call(_methods.LIST_SUBJECTS, request, read)


def _subject(found: pb.Subject) -> Subject:
    erased_at = _time(found.erased_ms) if found.erased_ms else None
    return Subject(found.name, found.key_id, _time(found.created_ms), erased_at)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
