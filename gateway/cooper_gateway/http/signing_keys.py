"""Signing keys that have verified a signature: deriving one costs four HMACs, and a key signs for a whole day."""

from cooper_gateway.protocol.sigv4 import Claim, signing_key, verify


class SigningKeys:
    """A bounded cache by secret, date and region. Only what has proved right is kept, so strangers cannot flush it."""

    __slots__ = ("_keys", "_size")

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._keys: dict[tuple[str, str, str], bytes] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def verify(self, claim: Claim, secret: str) -> bytes:
        """Check the claim's signature; returns the signing key. Raises S3Error SignatureDoesNotMatch."""
        name = (secret, claim.date, claim.region)
        key = self._keys.get(name)
        if key is not None:
            verify(claim, key)
            return key
        key = signing_key(*name)
        verify(claim, key)
        if len(self._keys) >= self._size:
            del self._keys[next(iter(self._keys))]  # the oldest: yesterday's go first
        self._keys[name] = key
        return key
