"""A codec for encryption at rest: AES-256-GCM, with keys that rotate (extra `crypto`).

Rules of this file
- The first key encrypts, every key decrypts: add a new key at the front, remove an old one when nothing needs it.
- Each message has its own key, derived with a random salt, so that no number of messages wears a key out.
- The key's id is authenticated with the message; the message's place in the store is not: whoever can write to the
  store can put one message in the place of another.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping

from shiftboss.core.opaque import KEY_ID
from shiftboss.errors import ConfigurationError
from shiftboss.ports.codec import Codec

__all__ = ["AesGcmCodec", "Codec", "new_key"]

KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12  # GCM's own
FOR_MESSAGES = b"shiftboss message 1"
FOR_DIGESTS = b"shiftboss digest 1"


def new_key() -> str:
    """A random key, as text for a secret store or an environment variable."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


class AesGcmCodec:
    """Encrypts with the first of *keys* and decrypts with any of them.

    *keys*: id → 32 random bytes, or their base64 as `new_key()` returns it.  The store holds ids unencrypted.  An id
    consists of letters, digits, ".", "_" and "-"; a date, for example.  Raises ConfigurationError.

        Orchestrator(codec=AesGcmCodec({"2026-11": os.environ["KEY_2026_11"], "2026-05": os.environ["KEY_2026_05"]}))
    """

    def __init__(self, keys: Mapping[str, bytes | str]) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError as error:
            raise ConfigurationError(f"{error}; the codec needs an extra: pip install 'shiftboss[crypto]'") from error
        self._aead, self._hkdf, self._sha256, self._invalid = AESGCM, HKDF, SHA256, InvalidTag
        if not isinstance(keys, Mapping) or not keys:
            raise ConfigurationError("AesGcmCodec takes its keys by id, newest first: AesGcmCodec({'2026-11': key})")
        self._keys = {_key_id(key_id): _key(key_id, key) for key_id, key in keys.items()}
        self.key_ids: tuple[str, ...] = tuple(self._keys)
        self.digest_keys: tuple[bytes, ...] = tuple(self._derived(key, b"", FOR_DIGESTS) for key in self._keys.values())

    def encode(self, data: bytes) -> bytes:
        """*data* encrypted with the first key; the result is never the same twice."""
        key_id = self.key_ids[0]
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        key = self._derived(self._keys[key_id], salt, FOR_MESSAGES)
        named = bytes([len(key_id)]) + key_id.encode()
        return named + salt + nonce + self._aead(key).encrypt(nonce, data, named)

    def decode(self, data: bytes) -> bytes:
        """Raises ValueError for data that was not encrypted by this codec or with these keys, or was changed since."""
        named, rest = data[: 1 + data[0]] if data else b"", data[1 + data[0] :] if data else b""
        key = self._keys.get(named[1:].decode("ascii", "replace"))
        if key is None:
            raise ValueError("it was encrypted with a key that is not in this codec")
        salt, nonce, message = rest[:SALT_BYTES], rest[SALT_BYTES:][:NONCE_BYTES], rest[SALT_BYTES + NONCE_BYTES :]
        try:
            return self._aead(self._derived(key, salt, FOR_MESSAGES)).decrypt(nonce, message, named)
        except self._invalid:
            raise ValueError("it was changed after it was encrypted, or the key differs") from None

    def _derived(self, key: bytes, salt: bytes, purpose: bytes) -> bytes:
        return self._hkdf(self._sha256(), KEY_BYTES, salt, purpose).derive(key)

    def __repr__(self) -> str:
        return f"<AesGcmCodec with keys {', '.join(self.key_ids)}>"


def _key_id(key_id: object) -> str:
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        raise ConfigurationError(
            f"{key_id!r} is not a key id; use at most 64 letters, digits, '.', '_' and '-', for example a date"
        )
    return key_id


def _key(key_id: str, key: object) -> bytes:
    """Checks a key.  Its messages never contain the key, nor a part of it."""
    decoded = key
    if isinstance(decoded, str):
        try:
            decoded = base64.b64decode(decoded.translate({45: 43, 95: 47}).strip(), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
    if not isinstance(decoded, bytes) or len(decoded) != KEY_BYTES:
        raise ConfigurationError(
            f"key {key_id!r} is neither {KEY_BYTES} random bytes nor base64 of them; make one: python -c 'from "
            "shiftboss.codec import new_key; print(new_key())'"
        )
    return decoded
