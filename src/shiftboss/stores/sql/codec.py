"""Values as rows: the whole value as JSON text, and beside it the few columns that queries use.

Rules of this file
- Times are whole microseconds since 1970 in columns and ISO texts in JSON; both represent a `datetime` exactly.
- Payload and result never pass through JSON: they are bytes and stay the same bytes.
- A number that stands for a word never gets another meaning: it is in files that people keep.
- shapes.py turns texts into values again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from shiftboss.core.declarations import Declarations
from shiftboss.core.model import ClockMark, Origin, Run, Status
from shiftboss.core.unreadable import REMEDY
from shiftboss.core.value import EPOCH, replace
from shiftboss.errors import StoreRejected

ORIGINS = {  # standing ones first: SQL selects them by `origin <= 2`
    Origin.OCCURRENCE: 0,
    Origin.ITERATION: 1,
    Origin.AFTER: 2,
    Origin.TRIGGER: 3,
    Origin.REPLAY: 4,
}
STATUSES = {  # of finished runs
    Status.SUCCEEDED: 2,
    Status.DEAD: 3,
    Status.CANCELLED: 4,
    Status.SKIPPED: 5,
}

Text = str | bytes | None

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

_encoder = msgspec.json.Encoder()
_clock = msgspec.json.Decoder(ClockMark)
_declarations = msgspec.json.Decoder(Declarations)


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1024)  # the runs of a commit share most of their times
def micros(instant: datetime) -> int:
    """Microseconds since 1970; exact, which `timestamp()` is not for distant times."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def micros_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else micros(instant)


def instant_of(number: int) -> datetime:
    """The time with that number; the nearest end of the calendar if it lies beyond."""
    try:
        return EPOCH + timedelta(microseconds=number)
    except OverflowError:
        return LAST if number > 0 else FIRST


def instant_or_none(text: Text) -> datetime | None:
    return instant_of(int(text)) if text is not None else None


# ── to rows ──────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(value: object) -> str:
    """The JSON of any value.

    Raises StoreRejected for what JSON cannot express (a lone surrogate, say), and for a value that was salvaged from an
    unreadable row: that row is never overwritten (W8).
    """
    row = getattr(value, "unreadable", None)
    if row is not None:
        raise StoreRejected(f"{row}, and is not overwritten; {REMEDY}")
    try:
        return _encoder.encode(value).decode()
    except (UnicodeError, TypeError, ValueError, OverflowError) as error:
        raise StoreRejected(f"a {type(value).__name__} cannot be stored as JSON: {error}") from error


def text_of_run(run: Run) -> str:
    """The JSON of a run without its bytes."""
    if run.payload is not None or run.result is not None:
        run = replace(run, payload=None, result=None)
    progress = run.progress
    if progress is not None and not (isfinite(progress.done) and isfinite(progress.total or 0.0)):
        # JSON would write it as null, and nobody could read the row again.
        raise StoreRejected(f"run {run.id} of {run.worker!r} reports progress that is not a finite number")
    return text_of(run)


def fired_at(run: Run) -> int | None:
    """O1: the scheduled time that a started scheduled run has used up; None for every other run."""
    if run.origin is Origin.OCCURRENCE and run.first_started_at is not None:
        return micros(run.occurs_at)
    return None


def timed(run: Run) -> int:
    """O4: how a waiting run follows the clock: 0 elapsed time, 1 elapsed time and it has begun, 2 the calendar."""
    if run.first_started_at is not None:
        return 1
    return 2 if run.by_calendar else 0


# ── from rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def clock_of(text: Text) -> ClockMark | None:
    """The clock mark; None if it cannot be read, and then the clock is measured again."""
    try:
        return _clock.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def declarations_of(text: str | None) -> Declarations:
    """The declarations; none if they cannot be read, and then whatever is declared next is the newest."""
    try:
        return _declarations.decode(text) if text else Declarations()
    except (msgspec.DecodeError, UnicodeError):
        return Declarations()


def with_bytes(runs: Iterable[Run], *, payloads: dict[int, bytes], results: dict[int, bytes]) -> list[Run]:
    """Runs with the bytes that were read separately."""
    return [
        replace(run, payload=payloads.get(run.id), result=results.get(run.id))
        if run.id in payloads or run.id in results
        else run
        for run in runs
    ]


def json_of(values: Sequence[Any]) -> str:
    """Names or numbers as one parameter, for `json_each`."""
    return text_of(values)
