"""The base of all values: immutable, compared by content, cheap to copy with a difference.

They are msgspec Structs and not frozen dataclasses: as easy to read, 30 times faster to `replace` (0.3 against 11 µs
for 28 fields, measured), and they encode themselves.  A run is copied about four times in its life.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

__all__ = ["EPOCH", "FAR_END", "US", "Value", "Word", "later", "replace", "seconds_between"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
FAR_END = datetime(9999, 12, 1, tzinfo=UTC)  # nothing is due later; the offset of a priority can still be added to it


class Value(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Immutable, and made of values that existed before it: no value can contain itself, so `gc` need not look at it.

    Unknown fields in stored rows are ignored, so a newer node's additional fields do not stop an older one."""


class Word(StrEnum):
    """A word of a closed vocabulary, hashed as plain text: Enum's own hash is a slow Python function."""

    __hash__ = str.__hash__


def later(instant: datetime, seconds: float) -> datetime:
    """*instant* moved by *seconds*; the far end of the calendar if the sum would lie beyond it."""
    try:
        return instant + timedelta(seconds=seconds)
    except OverflowError:
        return FAR_END


def seconds_between(start: datetime, end: datetime) -> float:
    """Seconds from *start* to *end*, negative when *end* is earlier."""
    return (end - start).total_seconds()
