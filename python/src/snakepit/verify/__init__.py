"""An export of the log, checked by somebody who trusts nobody: `docs/evidence-format.md` is what it is written from.

``python -m snakepit.verify EXPORT --checkpoint FILE --key KEY``. It shares no code with the nodes or with the
rest of this package, and needs nothing but Python and, for signatures, `cryptography`. A copy of this
directory runs alone: ``python path/to/snakepit/verify EXPORT …``.
"""
