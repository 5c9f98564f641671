"""The numbered scripts that make and change a schema, for each kind of database.

Rules of this file
- A script never changes once it is released; the next change is the next number.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

STORES = Path(__file__).resolve().parents[1]  # the scripts of each database are beside its code


@cache
def scripts(kind: str) -> dict[int, Path]:
    """Number → script, in order."""
    return {
        int(file.name[:4]): file for file in sorted((STORES / kind / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    }


def latest(kind: str) -> int:
    """The schema version that this shiftboss writes."""
    return max(scripts(kind))
