"""The key of a cluster, and whether it signed a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ._fault import Fault, Unusable
from ._note import Checkpoint, is_name
from ._text import from_base64

ED25519: Final = b"\x01"

_HINT: Final = "a key is <name>+<id>+<base64>, as the cluster's people gave it to you"


@dataclass(frozen=True, slots=True)
class Key:
    """Who signs."""

    name: str
    key_id: bytes
    public: bytes

    def check(self, checkpoint: Checkpoint, what: str) -> None:
        """Raises Fault where this key did not sign it, Unusable where nothing here can tell."""
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as error:
            raise Unusable(
                f"signatures cannot be checked: {error}",
                "pip install 'cryptography>=42', or leave out --key and check the file alone",
            ) from error
        own = [each for each in checkpoint.signatures if (each.name, each.key_id) == (self.name, self.key_id)]
        if not own:
            raise Fault(f"{what} is not signed by {self.name}", "check that this is the cluster's key")
        public = Ed25519PublicKey.from_public_bytes(self.public)
        for each in own:
            try:
                public.verify(each.signature, checkpoint.text)
            except InvalidSignature:
                raise Fault(
                    f"the signature of {self.name} on {what} is wrong",
                    "somebody changed the checkpoint: get it again, and keep this one",
                ) from None


def read(text: str) -> Key:
    """Read a key. Raises Unusable."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    data = from_base64(encoded)
    if not is_name(name) or not name.isprintable() or data is None:
        raise Unusable("the key cannot be read", _HINT)
    if len(data) != 33 or data[:1] != ED25519:
        raise Unusable("the key is not one of Ed25519", _HINT)
    wanted = sha256(name.encode() + b"\n" + data).digest()[:4]
    if key_id != wanted.hex():
        raise Unusable(f"the key has the id {key_id[:16]!r}, its bytes have {wanted.hex()}", _HINT)
    return Key(name, wanted, data[1:])
