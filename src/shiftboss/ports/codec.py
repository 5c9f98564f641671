"""Encryption at rest, as the user's codec provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Codec(Protocol):
    """Encryption at rest: makes bytes unreadable before they are stored, and readable again.

    It is called within transactions and from several threads, so it must be quick, wait for nothing and keep no state.
    """

    @property
    def key_ids(self) -> Sequence[str]:
        """The ids of its keys, beginning with the one that it encodes with.  They are stored in plain text."""
        ...

    @property
    def digest_keys(self) -> Sequence[bytes]:
        """Secrets for the digests of payloads (O5), the newest first, each of 16 bytes or more; keep the older ones."""
        ...

    def encode(self, data: bytes) -> bytes: ...

    def decode(self, data: bytes) -> bytes:
        """What `encode` was given, now or with an older key.  Raises any exception if it cannot decode *data*."""
        ...
