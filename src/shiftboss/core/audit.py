"""The audit as a chain: what is stored of each act, and what a seal says about all acts so far (A8).

Rules of this file
- Each row goes into one running digest, in the order of numbers.  A seal says under a key how far that digest has come.
  The key is not part of the store: without it, nobody can change, add or remove a row below a seal unnoticed.
- A seal follows from the rows alone, so processes that seal at the same time write the same seal.  No process waits for
  another, and a seal between two others can be deleted.
- verify.py decides what rows and seals prove together.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from shiftboss.core.value import EPOCH, Value

GENESIS: Final = hashlib.sha256(b"shiftboss audit 1").hexdigest()
KEY_ID_CHARS = 12


class AuditRow(Value, frozen=True):
    """One act as it is stored; `data` is its event, encoded."""

    id: int
    at_us: int
    data: bytes


class Seal(Value, frozen=True, omit_defaults=False):
    """How far the chain has come with row `id`, under the key."""

    id: int
    rows: int  # how many rows there have been in all, since the first one
    at: datetime  # when that row was written
    digest: str  # over all rows up to this one
    keep_s: float  # for how long the audit was kept at that time
    key: str  # the fingerprint of the key
    mac: str = ""


class Head(Value, frozen=True):
    """A copy of the last seal, kept elsewhere to compare with later.  `id` is 0 if it is not known."""

    digest: str
    id: int = 0


class Key:
    """A secret and its fingerprint, which reveals nothing about it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = hashlib.sha256(b"shiftboss audit key\0" + secret).hexdigest()[:KEY_ID_CHARS]

    def mac(self, seal: Seal) -> str:
        message = msgspec.json.encode([seal.id, seal.rows, _us(seal.at), seal.digest, seal.keep_s, seal.key])
        return hmac.new(self._secret, b"shiftboss audit seal\0" + message, hashlib.sha256).hexdigest()

    def has_made(self, seal: Seal) -> bool:
        return seal.key == self.id and hmac.compare_digest(seal.mac.encode(), self.mac(seal).encode())


# ── sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def seal_of(last: Seal | None, rows: Sequence[AuditRow], *, key: Key, keep_s: float) -> Seal | None:
    """The seal of *rows*, which come right after *last*; None if there are no rows."""
    if not rows:
        return None
    digest = GENESIS if last is None else last.digest
    for row in rows:
        digest = extended(digest, row)
    before = 0 if last is None else last.rows
    seal = Seal(rows[-1].id, before + len(rows), _at(rows[-1].at_us), digest, keep_s, key.id)
    return msgspec.structs.replace(seal, mac=key.mac(seal))


def extended(digest: str, row: AuditRow) -> str:
    """The running digest with one more row."""
    return hashlib.sha256(
        b"%s\n%d %d %d\n%s" % (digest.encode(), row.id, row.at_us, len(row.data), row.data)
    ).hexdigest()


def _at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
