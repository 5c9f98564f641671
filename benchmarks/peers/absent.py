"""What a library does not have."""

from __future__ import annotations


class Absent(Exception):
    """The library has no such thing; the text says what it has instead, for the table."""
