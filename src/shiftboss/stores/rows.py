"""Values as rows: a JSON text of the whole value, beside it the few columns that are asked about.

Rules of this file
- Instants are whole microseconds since 1970 in columns and ISO texts in JSON; both keep a `datetime` exactly.
- Payload and result never pass through JSON: they are bytes and stay the same bytes.
- A number that stands for a word is never given another meaning: it is in files that people keep.
- Reading never fails for what a newer version added: unknown fields are skipped, unknown events keep their common part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, TypeVar

import msgspec

from shiftboss.core.control import Request
from shiftboss.core.events import AnyEvent, Event
from shiftboss.core.model import BreakerState, DeadLetter, LogLine, Node, Origin, Record, Run, Status, WorkerState
from shiftboss.core.value import EPOCH, replace
from shiftboss.errors import StoreDamaged, StoreRejected

T = TypeVar("T")

ORIGINS = {  # standing ones first: SQL asks for `origin <= 2`
    Origin.OCCURRENCE: 0,
    Origin.ITERATION: 1,
    Origin.AFTER: 2,
    Origin.TRIGGER: 3,
    Origin.REPLAY: 4,
}
STATUSES = {  # of the history
    Status.SUCCEEDED: 2,
    Status.DEAD: 3,
    Status.CANCELLED: 4,
    Status.SKIPPED: 5,
}

Text = str | bytes | None

LaneRows = tuple[str, list[list[Run]]]
WorkerRow = tuple[str, WorkerState | None, Record | None]

_encoder = msgspec.json.Encoder()
_runs = msgspec.json.Decoder(list[Run])
_lane_rows = msgspec.json.Decoder(list[LaneRows])
_claims = msgspec.json.Decoder(tuple[list[int], list[Run]])
_workers = msgspec.json.Decoder(list[WorkerRow])
_breakers = msgspec.json.Decoder(list[BreakerState])
_nodes = msgspec.json.Decoder(list[Node])
_letters = msgspec.json.Decoder(list[DeadLetter])
_sizes = msgspec.json.Decoder(dict[str, int])
_instants = msgspec.json.Decoder(list[tuple[str, int]])
_numbers = msgspec.json.Decoder(list[int])
_names = msgspec.json.Decoder(list[str])
_counts = msgspec.json.Decoder(list[tuple[str, int, int]])
_lines = msgspec.json.Decoder(list[LogLine])
_raw_events = msgspec.json.Decoder(list[tuple[int, msgspec.Raw]])
_request = msgspec.json.Decoder(Request)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(AnyEvent)
_any_event = msgspec.json.Decoder(Event)


# ── instants ─────────────────────────────────────────────────────────────────────────────────────────────────────


def micros(instant: datetime) -> int:
    """Microseconds since 1970; exact, which `timestamp()` is not for far instants."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def micros_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else micros(instant)


def instant_of(number: int) -> datetime:
    return EPOCH + timedelta(microseconds=number)


# ── to rows ──────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(value: object) -> str:
    """The JSON of any value.  Raises StoreRejected for what JSON cannot hold (half a surrogate pair, say)."""
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
        # JSON would keep it as null, and nobody could read the row again.
        raise StoreRejected(f"run {run.id} of {run.worker!r} reports progress that is no finite number")
    return text_of(run)


def fired_at(run: Run) -> int | None:
    """O1: the instant that a started occurrence has used up; None for every other run."""
    if run.origin is Origin.OCCURRENCE and run.first_started_at is not None:
        return micros(run.occurs_at)
    return None


# ── from rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def runs_of(text: Text) -> list[Run]:
    return _read(_runs, text) if text else []


def lane_rows_of(text: Text) -> list[LaneRows]:
    return _read(_lane_rows, text) if text else []


def claims_of(text: Text) -> tuple[list[int], list[Run]]:
    """The ids of all claims, and those runs that were asked for."""
    return _read(_claims, text) if text else ([], [])


def workers_of(text: Text) -> list[WorkerRow]:
    return _read(_workers, text) if text else []


def breakers_of(text: Text) -> list[BreakerState]:
    return _read(_breakers, text) if text else []


def nodes_of(text: Text) -> list[Node]:
    return _read(_nodes, text) if text else []


def letters_of(text: Text) -> list[DeadLetter]:
    return _read(_letters, text) if text else []


def sizes_of(text: Text) -> dict[str, int]:
    return _read(_sizes, text) if text else {}


def instant_or_none(text: Text) -> datetime | None:
    return instant_of(int(text)) if text is not None else None


def instants_of(text: Text) -> dict[str, datetime]:
    return {name: instant_of(number) for name, number in _read(_instants, text)} if text else {}


def numbers_of(text: Text) -> list[int]:
    return _read(_numbers, text) if text else []


def names_of(text: Text) -> list[str]:
    return _read(_names, text) if text else []


def counts_of(text: Text) -> list[tuple[str, int, int]]:
    return _read(_counts, text) if text else []


def lines_of(text: Text) -> list[LogLine]:
    return _read(_lines, text) if text else []


def events_of(text: Text) -> list[tuple[int, Event]]:
    return [(number, _event_of(raw)) for number, raw in _read(_raw_events, text)] if text else []


def _event_of(raw: msgspec.Raw) -> Event:
    try:
        return _event.decode(raw)
    except msgspec.ValidationError:
        return _read(_any_event, raw)  # a kind that a newer version writes


def request_of(text: str, payload: bytes | None) -> Request:
    """A trigger as it arrived."""
    return replace(_read(_request, text), payload=payload)


def _read(decoder: msgspec.json.Decoder[T], text: str | bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StoreDamaged(
            f"a stored row cannot be read: {error}; the store is left as it is: restore a backup, "
            "or upgrade this process if a newer one wrote it"
        ) from error


def with_bytes(runs: Iterable[Run], *, payloads: dict[int, bytes], results: dict[int, bytes]) -> list[Run]:
    """Runs with the bytes that were read beside them."""
    return [
        replace(run, payload=payloads.get(run.id), result=results.get(run.id))
        if run.id in payloads or run.id in results
        else run
        for run in runs
    ]


def json_of(values: Sequence[Any]) -> str:
    """Names or numbers as one parameter, for `json_each`."""
    return text_of(values)
