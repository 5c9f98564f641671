"""The types of parameters: names, ids and times with their bounds, and parameters that several operations share.

Rules of this file
- Everything from outside has a bound here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
RunId = Annotated[int, Meta(ge=1, lt=1 << 53)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Instant = Annotated[datetime, Meta(tz=True)]
ROW_NAME = r"^[a-z_]+/[^\x00]+$"
LettersState = Annotated[str, Meta(pattern=r"^(open|replayed|resolved|discarded|superseded|all)$")]


class WorkerNamed(msgspec.Struct, frozen=True):
    """A worker."""

    worker: Name


class RunAsked(msgspec.Struct, frozen=True):
    """A run."""

    run: RunId


class GroupsAsked(msgspec.Struct, frozen=True):
    """Which open dead letters."""

    worker: Name | None = None
    error: Text | None = None
    since: Instant | None = None
