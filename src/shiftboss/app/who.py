"""Who acts: the name that stands in audits beside what was done (A1).

Rules of this file
- `acting_as` holds for the task or thread that is within it, and for what that starts.
- Nobody in particular is the user of this process, as an operator would name them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

acting: ContextVar[str] = ContextVar("shiftboss_acting", default="")


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """What is done within is done by *name*: a user of the web application around us, say."""
    token = acting.set(name)
    try:
        yield
    finally:
        acting.reset(token)


def who() -> str:
    """Whoever acts here."""
    said = acting.get()
    return said or os.environ.get("SHIFTBOSS_USER") or os.environ.get("USER") or os.environ.get("LOGNAME") or "library"
