"""An export of the log, checked by somebody who trusts nobody: written from `docs/evidence-format.md`.

``python -m snakepit.verify EXPORT --checkpoint FILE --key KEY``. It shares no code with the nodes or with the
rest of this package, and needs nothing but Python and, for signatures, `cryptography`. A copy of this
directory runs alone: ``python path/to/snakepit/verify EXPORT …``.
"""
