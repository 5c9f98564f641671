"""What a codec has encoded, as the store keeps it; and what stands in for it where it cannot be decoded.

Rules of this file
- An encoded text or payload names the key that encoded it.  No JSON begins like that, so no plain payload is mistaken
  for an encoded one.
- What cannot be decoded becomes an `Opaque…` value: it says why, and is written back exactly as it was stored.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import SupportsIndex

from shiftboss.core.pattern import lazy_pattern

_KEY_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
KEY_ID = lazy_pattern(_KEY_ID, re.ASCII)
_FRAME = lazy_pattern(rb"\$sb1\$(" + _KEY_ID.encode() + rb")\$", re.ASCII)


class OpaqueText(str):
    """A text that cannot be decoded here: it reads as the reason, and `stored` is what the store has."""

    __slots__ = ("key_id", "stored", "why")
    key_id: str
    stored: str
    why: str

    @classmethod
    def of(cls, stored: str, key_id: str, why: str) -> OpaqueText:
        made = cls(f"({why})")
        made.stored, made.key_id, made.why = stored, key_id, why
        return made

    def __getitem__(self, _: SupportsIndex | slice) -> OpaqueText:
        """A slice of a text that cannot be decoded is the whole text: it has no parts."""
        return self


class OpaqueBytes(bytes):
    """Bytes that cannot be decoded here, as the store has them; `why` is the reason."""

    key_id: str
    why: str

    @classmethod
    def of(cls, stored: bytes, key_id: str, why: str) -> OpaqueBytes:
        made = cls(stored)
        made.key_id, made.why = key_id, why
        return made


def framed(data: bytes, key_id: str) -> bytes:
    """Encoded bytes in the form in which they are stored."""
    return b"$sb1$%s$%s" % (key_id.encode("ascii"), data)


def framed_text(data: bytes, key_id: str) -> str:
    """An encoded text in the form in which it is stored."""
    return framed(base64.b64encode(data), key_id).decode("ascii")


def key_of(data: bytes | None) -> str | None:
    """The id of the key that encoded these bytes; None for plain ones."""
    match = None if data is None else _FRAME.match(data)
    return None if match is None else match[1].decode("ascii")


def unframed(data: bytes) -> tuple[str, bytes] | None:
    """The id of the key and the encoded bytes; None for plain bytes."""
    match = _FRAME.match(data)
    return None if match is None else (match[1].decode("ascii"), data[match.end() :])


def unframed_text(text: str) -> tuple[str, bytes] | None:
    """As `unframed`.  A text that merely begins like an encoded one is plain."""
    if not text.startswith("$sb1$") or not text.isascii():
        return None
    parts = unframed(text.encode("ascii"))
    try:
        return None if parts is None else (parts[0], base64.b64decode(parts[1], validate=True))
    except binascii.Error:
        return None
