"""Encryption at rest, as the one who encrypts provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Codec(Protocol):
    """Encryption at rest: what makes bytes unreadable before they are stored, and readable again.

    It is called within transactions, from several threads: it must be quick, wait for nothing and keep no state.
    """

    @property
    def key_ids(self) -> Sequence[str]:
        """What its keys are called, that of the one it encodes with first.  They stand in the store in plain."""
        ...

    @property
    def digest_keys(self) -> Sequence[bytes]:
        """Secrets for the digests of payloads (O5), the newest first, each of 16 bytes or more; older ones stay."""
        ...

    def encode(self, data: bytes) -> bytes: ...

    def decode(self, data: bytes) -> bytes:
        """What `encode` was given, now or with one of the older keys.  Raises anything where it cannot tell."""
        ...
