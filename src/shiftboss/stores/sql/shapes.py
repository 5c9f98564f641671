"""How the one text of an answer becomes values: all at once, or row by row if that fails (W8).

Rules of this file
- A question has two forms.  The plain form gathers the rows as they are, and one decoding reads them all.  The careful
  form returns each row sealed, with its columns beside it, so that an unreadable row harms only itself.
- Reading never fails because of what a newer version added: unknown fields are skipped, unknown events keep their
  common part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.control import Request
from shiftboss.core.events import AnyEvent, Audit, Event, UnreadableEvent
from shiftboss.core.model import BreakerState, DeadLetter, LogLine, Node, Record, Run, WorkerState
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import EPOCH, replace
from shiftboss.stores.sql import codec, salvage
from shiftboss.stores.sql.codec import Text
from shiftboss.stores.sql.salvage import FAILURES, Sealed

T = TypeVar("T")
V = TypeVar("V")

LaneRows = tuple[str, list[list[Run]]]
WorkerRow = tuple[str, WorkerState | None, Record | None]


class RowType(Generic[V]):
    """One kind of row: how it is read, and what replaces it if it cannot be read."""

    def __init__(self, decoder: msgspec.json.Decoder[V], salvaged: Callable[[Sealed, object], V]) -> None:
        self._decode = decoder.decode
        self._salvaged = salvaged

    def open(self, sealed: Sealed) -> V:
        try:
            return self._decode(sealed.raw().decode())
        except FAILURES as error:
            return self._salvaged(sealed, error)

    def check(self, raw: bytes | msgspec.Raw) -> None:
        """Raises one of FAILURES for a row that cannot be read."""
        self._decode(raw)

    def why_not(self, sealed: Sealed) -> Unreadable | None:
        """Why the row cannot be read; None for a readable row."""
        try:
            self._decode(sealed.raw().decode())
        except FAILURES as error:
            return sealed.row(error)
        return None


class _Events:
    """Reads events; of a kind that only a newer version knows, the common part is kept."""

    def __init__(self) -> None:
        self._known: msgspec.json.Decoder[Event] = msgspec.json.Decoder(AnyEvent)
        self._any = msgspec.json.Decoder(Event)

    def decode(self, raw: str | msgspec.Raw) -> Event:
        try:
            return self._known.decode(raw)
        except msgspec.ValidationError:
            return self._any.decode(raw)


_events = _Events()

RUN = RowType(msgspec.json.Decoder(Run), salvage.run)
WORKER = RowType(msgspec.json.Decoder(WorkerState), salvage.worker)
RECORD = RowType(msgspec.json.Decoder(Record), salvage.record)
BREAKER = RowType(msgspec.json.Decoder(BreakerState), salvage.breaker)
NODE = RowType(msgspec.json.Decoder(Node), salvage.node)
LETTER = RowType(msgspec.json.Decoder(DeadLetter), salvage.letter)
LINE = RowType(msgspec.json.Decoder(LogLine), salvage.line)
EVENT: RowType[Event] = RowType(_events, salvage.event)  # type: ignore[arg-type]  # it has the one method that is used
REQUEST = RowType(msgspec.json.Decoder(Request), salvage.request)

KINDS: dict[str, RowType[Any]] = {  # by table; `record` is a column of `worker` with a value of its own
    "run": RUN,
    "history": RUN,
    "dead_letter": LETTER,
    "worker": WORKER,
    "record": RECORD,
    "breaker": BREAKER,
    "node": NODE,
    "event": EVENT,
    "log": LINE,
    "arrival": REQUEST,
}


class ResultShape(Generic[T]):
    """What the texts of a question become."""

    def __init__(self, plain: Any, careful: Any, opened: Callable[[Any], T], nothing: Callable[[], T]) -> None:
        self._plain = msgspec.json.Decoder(plain)
        self._careful = msgspec.json.Decoder(careful)
        self._opened = opened
        self._nothing = nothing

    def read(self, text: Text) -> T:
        """Raises one of FAILURES: then ask in the careful form."""
        return self._plain.decode(text) if text else self._nothing()

    def read_carefully(self, text: Text) -> T:
        if not text:
            return self._nothing()
        return self._opened(self._careful.decode(text.decode(errors="replace") if isinstance(text, bytes) else text))


class _EventShape(ResultShape[list[tuple[int, Event]]]):
    def read(self, text: Text) -> list[tuple[int, Event]]:
        raw: list[tuple[int, msgspec.Raw]] = self._plain.decode(text) if text else []
        return [(number, _events.decode(each)) for number, each in raw]


def _rows(value: type[V], kind: RowType[V]) -> ResultShape[list[V]]:
    return ResultShape(list[value], list[Sealed], lambda rows: [kind.open(each) for each in rows], list)  # type: ignore[valid-type]  # a type by its name


def _plain(value: Any, nothing: Callable[[], T]) -> ResultShape[T]:
    """For names and numbers: the careful form is the same, except for bytes that are no text."""
    return ResultShape(value, value, lambda it: it, nothing)


def _open_worker(row: tuple[str, Sealed | None, Sealed | None]) -> WorkerRow:
    name, sealed_state, sealed_record = row
    state = None if sealed_state is None else WORKER.open(sealed_state)
    record = None if sealed_record is None else RECORD.open(sealed_record)
    return (name, state, record) if state is not None and state.name == name else (name, None, None)


def _open_lane(row: tuple[str, list[list[Sealed]]]) -> LaneRows:
    name, parts = row
    return name, [[RUN.open(each) for each in part] for part in parts]


RUNS = _rows(Run, RUN)
LETTERS = _rows(DeadLetter, LETTER)
BREAKERS = _rows(BreakerState, BREAKER)
NODES = _rows(Node, NODE)
LINES = _rows(LogLine, LINE)
EVENTS = _EventShape(
    list[tuple[int, msgspec.Raw]],
    list[tuple[int, Sealed]],
    lambda rows: [(number, EVENT.open(each)) for number, each in rows],
    list,
)
LANES: ResultShape[list[LaneRows]] = ResultShape(
    list[LaneRows],
    list[tuple[str, list[list[Sealed]]]],
    lambda rows: [_open_lane(row) for row in rows],
    list,
)
CLAIMS: ResultShape[tuple[list[int], list[Run]]] = (
    ResultShape(  # the ids of all claims, and those runs that were asked for
        tuple[list[int], list[Run]],
        tuple[list[int], list[Sealed]],
        lambda row: (row[0], [RUN.open(each) for each in row[1]]),
        lambda: ([], []),
    )
)
WORKERS: ResultShape[list[WorkerRow]] = ResultShape(
    list[WorkerRow],
    list[tuple[str, Sealed | None, Sealed | None]],
    lambda rows: [_open_worker(row) for row in rows],
    list,
)
AUDIT_ROWS: ResultShape[list[tuple[int, int, str]]] = _plain(list[tuple[int, int, str]], list)
SEALS: ResultShape[list[tuple[int, str]]] = _plain(list[tuple[int, str]], list)
SEALED: ResultShape[list[Sealed]] = _plain(list[Sealed], list)
RESOURCES: ResultShape[dict[str, tuple[int, str | None]]] = _plain(dict[str, tuple[int, str | None]], dict)
INSTANTS: ResultShape[list[tuple[str, int]]] = _plain(list[tuple[str, int]], list)
INSTANTS_BY_ID: ResultShape[list[tuple[int, int]]] = _plain(list[tuple[int, int]], list)
NUMBERS: ResultShape[list[int]] = _plain(list[int], list)
NAMES: ResultShape[list[str]] = _plain(list[str], list)
COUNTS: ResultShape[list[tuple[str, int, int]]] = _plain(list[tuple[str, int, int]], list)


# ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────────

_seal = msgspec.json.Decoder(Seal)


def audit_rows(text: Text) -> list[AuditRow]:
    return [AuditRow(number, at_us, bytes.fromhex(data)) for number, at_us, data in AUDIT_ROWS.read(text)]


def seals(text: Text) -> list[Seal]:
    """A seal that cannot be read, or whose row number differs from its column, is nobody's: it proves nothing."""
    return [_opened_seal(number, bytes.fromhex(data)) for number, data in SEALS.read(text)]


def _opened_seal(number: int, data: bytes) -> Seal:
    try:
        seal = _seal.decode(data)
    except FAILURES:
        seal = NO_SEAL
    return seal if seal.id == number else replace(NO_SEAL, id=number)


NO_SEAL = Seal(id=0, rows=0, at=EPOCH, digest="", keep_s=0.0, key="unreadable")


def act(row: AuditRow) -> Audit | UnreadableEvent:
    """The act that the row records."""
    try:
        event = _events.decode(row.data.decode())
    except FAILURES as error:
        return UnreadableEvent(at=codec.instant_of(row.at_us), reason=f"{error}")
    return event if isinstance(event, Audit) else UnreadableEvent(at=event.at, reason="this is not a row of the audit")
