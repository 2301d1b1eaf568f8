"""The Merkle tree of RFC 6962, section 2.1, of which only the right edge is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

EMPTY: Final = sha256().digest()


class Tree:
    """Leaves are put behind each other; the root is there at any size."""

    def __init__(self, size: int = 0, frontier: Sequence[bytes] = ()) -> None:
        """A tree of that many leaves; `frontier` has the roots of its perfect subtrees, the largest first."""
        if len(frontier) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees")
        self.size = size
        self._edge = list(frontier)

    def append(self, data: bytes) -> None:
        """Put a leaf."""
        root = sha256(b"\x00" + data).digest()
        size = self.size
        while size & 1:
            root = sha256(b"\x01" + self._edge.pop() + root).digest()
            size >>= 1
        self._edge.append(root)
        self.size += 1

    def root(self) -> bytes:
        """Of all leaves."""
        return _joined(self._edge)

    def earlier(self) -> Iterator[tuple[int, bytes]]:
        """Sizes, this one included, of which the root is known still, and the roots."""
        yield 0, EMPTY
        sizes = [1 << bit for bit in reversed(range(self.size.bit_length())) if self.size >> bit & 1]
        for count in range(1, len(sizes) + 1):
            yield sum(sizes[:count]), _joined(self._edge[:count])


def _joined(roots: Sequence[bytes]) -> bytes:
    if not roots:
        return EMPTY
    joined = roots[-1]
    for root in roots[-2::-1]:
        joined = sha256(b"\x01" + root + joined).digest()
    return joined
