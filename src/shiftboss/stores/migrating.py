"""The numbered scripts that make and change a schema, for each kind of database.

Rules of this file
- A script never changes once it is released; the next change is the next number.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("migrations")


@cache
def scripts(kind: str) -> dict[int, Path]:
    """Number → script, in order."""
    return {int(file.name[:4]): file for file in sorted((FOLDER / kind).glob("[0-9][0-9][0-9][0-9]_*.sql"))}


def latest(kind: str) -> int:
    """The version that this shiftboss writes."""
    return max(scripts(kind))
