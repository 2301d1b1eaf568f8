"""Sessions as documents: out of a cluster, and into one."""

from __future__ import annotations

from typing import NamedTuple

from snakepit import _document, _methods
from snakepit._document import Document
from snakepit._proto import session_v1_pb2 as pb
from snakepit._scope import Call, Scope


class Imported(NamedTuple):
    """What an import made: the session's id, and how many variables and programs."""

    session_id: str
    variables: int
    programs: int


def export(scope: Scope) -> Call[Document]:
    """The session as it is at one moment."""
    return scope.call(_methods.EXPORT_SESSION, pb.ExportSessionRequest(session_id=scope.id), _document.render)


def import_session(document: Document, session_id: str) -> Call[Imported]:
    """A new session, of the document's id where none is given."""
    request = pb.ImportSessionRequest(session_id=session_id, export=_document.parse(document))
    return Scope().call(
        _methods.IMPORT_SESSION,
        request,
        lambda answer: Imported(answer.session_id, answer.variables, answer.programs),
    )
