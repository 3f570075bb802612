"""Key derivation: HKDF-SHA256 (RFC 5869), and authenticated encryption of small values under a derived key."""

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cooper_gateway.native import in_c

KEY_SIZE: Final = 32
SALT_SIZE: Final = 32
TAG_SIZE: Final = 16

#: Every derived key encrypts exactly one message, so its nonce may be constant: a (key, nonce) pair never repeats.
_ONLY_NONCE: Final = bytes(12)
_BLOCK: Final = 64  # bytes of a SHA-256 block
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


@in_c
class Deriver:
    """HKDF of one input key for one purpose: extracted once, then one cheap expansion for each salt.

    RFC 5869, 3.1: "if not provided, salt is set to a string of HashLen zeros" — our input keys are uniformly random, so
    Extract gets a constant, and the per-message salt is part of `info`, which is the input Expand separates keys by.
    """

    __slots__ = ("_inner", "_label", "_nonce", "_outer")

    def __init__(self, key: bytes, label: bytes, nonce: bytes = _ONLY_NONCE) -> None:
        """`nonce`: of what `seal` and `open` encrypt and decrypt, 12 bytes. Raises ValueError when it has others."""
        if len(nonce) != len(_ONLY_NONCE):
            raise ValueError("a nonce has 12 bytes")
        prk = hmac.digest(bytes(32), key, "sha256")
        padded = prk.ljust(_BLOCK, b"\0")
        # HMAC with both pads absorbed (RFC 2104): copying the two states is half the cost of hmac.digest.
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))
        self._label = label + b"\0"
        self._nonce = nonce

    def derive(self, salt: bytes | memoryview, /) -> bytes:
        """32 bytes that belong to this key, this purpose and this salt alone."""
        # RFC 5869, 2.3: "T(1) = HMAC-Hash(PRK, T(0) | info | 0x01)"; 32 bytes need only T(1).
        inner = self._inner.copy()
        inner.update(b"%b%b\x01" % (self._label, salt))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def seal(self, plaintext: bytes | memoryview, context: bytes, /) -> bytes:
        """Encrypt a small value: fresh salt, then ciphertext and tag. It opens only with the same context."""
        salt = os.urandom(SALT_SIZE)
        return salt + AESGCM(self.derive(salt)).encrypt(self._nonce, plaintext, context)

    def open(self, sealed: bytes | memoryview, context: bytes, /) -> bytes:
        """Decrypt and verify. Raises ValueError when it was not sealed by this key for this context."""
        if len(sealed) < SALT_SIZE + TAG_SIZE:
            raise ValueError("sealed value is too short")
        aead = AESGCM(self.derive(sealed[:SALT_SIZE]))
        try:
            return aead.decrypt(self._nonce, sealed[SALT_SIZE:], context)
        except InvalidTag:
            raise ValueError("sealed value does not verify") from None

    def open_all(self, pairs: list[tuple[bytes, bytes]], clear: int, context: bytes, /) -> list[bytes]:
        """What is sealed in each value of pairs (name, value), behind so many bytes in clear. The context of one is
        `context`, these bytes and its name. Raises ValueError when any does not verify."""
        return [self.open(value[clear:], b"%b%b%b" % (context, value[:clear], name)) for name, value in pairs]
