"""A transaction's writes in SQLite's SQL (sql/writes.py has the rows and their order)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.control import Request
from shiftboss.core.events import Event
from shiftboss.core.lives import Counted
from shiftboss.core.model import ClockMark
from shiftboss.core.shift import Shift
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import FAR_END
from shiftboss.errors import StoreRejected
from shiftboss.ports.store import Past
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.reads import Seen
from shiftboss.stores.sql.statements import Writings
from shiftboss.stores.sql.unreadable import unreadable, unreadable_of
from shiftboss.stores.sql.writes import Writes
from shiftboss.stores.sqlite import unreadable as sqlite_unreadable
from shiftboss.stores.sqlite.batch import Ids, Single, ValuesStatement, inserted
from shiftboss.stores.sqlite.reads import Reads

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.sqlite.connection import Database

UPDATE_RUNS = ValuesStatement(
    """UPDATE run SET number = column2, queue = column3, due_at = column4, timed = column5, occurs_at = column6,
  give_up_at = column7, data = column8
FROM $rows WHERE id = column1 AND column1 IS NOT NULL""",
    columns=8,
)
DELETE_FINISHED = Ids("DELETE FROM run WHERE id IN (SELECT value FROM json_each(?))")
FIRED_BEFORE = """
SELECT '[' || group_concat(json_quote(pairs.value ->> 0)) || ']' FROM json_each(?) AS pairs
WHERE EXISTS (SELECT 1 FROM history INDEXED BY history_fired
              WHERE worker = pairs.value ->> 0 AND fired_at = pairs.value ->> 1)
"""

FORGET_WORKERS = ValuesStatement(
    """UPDATE worker SET number = column2, state = NULL, record = NULL
FROM $rows WHERE name = column1 AND column1 IS NOT NULL AND state IS NOT NULL""",
    columns=2,
)
TOUCH_WORKERS = ValuesStatement(
    """UPDATE worker SET number = column2, record = coalesce(column3, record)
FROM $rows WHERE name = column1 AND column1 IS NOT NULL AND state IS NOT NULL""",
    columns=3,
)
PUT_SIZE_DECLARATIONS = ValuesStatement(
    """UPDATE resource SET declarations = column2 FROM $rows WHERE name = column1 AND column1 IS NOT NULL""",
    columns=2,
)
DELETE_NODES = Ids("DELETE FROM node WHERE id IN (SELECT value FROM json_each(?))")

# The runs that the dead run refers to are stored with its dead letter, because retention asks for them (A4).
PUT_LETTERS = ValuesStatement(
    """INSERT INTO dead_letter
  (run, worker, state, error_type, entered_at, closed_at, has_payload, replay_of, caused_by, data)
SELECT column1, column2, column3, column4, column5, column6, column7,
  (SELECT CASE WHEN json_valid(data) THEN data ->> 'replay_of' END FROM history WHERE id = column1),
  (SELECT CASE WHEN json_valid(data) THEN data ->> 'caused_by' END FROM history WHERE id = column1), column8
FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (run) DO UPDATE SET state = excluded.state, closed_at = excluded.closed_at, data = excluded.data""",
    columns=8,
)
INSERT_EVENTS = ValuesStatement(
    "INSERT INTO event (id, at, worker, data) SELECT * FROM $rows WHERE column1 IS NOT NULL",
    columns=4,
)
# Of each attempt the last MAX_LINES are kept.
TRIM_LINES = Single("DELETE FROM log WHERE run = ? AND fence = ? AND number <= ?")

# O4.  Many rows at once, but not a million in one statement, so that the log of each stays bounded.
SHIFTED_AT_ONCE = 20_000
SHIFT_UNTIL = """
SELECT max(id) FROM (
  SELECT id FROM run WHERE id > ? AND queue IS NOT NULL AND (origin <> 0 OR timed = 1) ORDER BY id LIMIT ?)
"""
LAST_US = codec.micros(FAR_END)


def _iso(us: str) -> str:
    """A time in JSON's form, from microseconds, also before 1970."""
    rest = f"((({us}) % 1000000 + 1000000) % 1000000)"
    second = f"((({us}) - {rest}) / 1000000)"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {second}, 'unixepoch') || printf('.%06dZ', {rest})"


def _us(iso: str) -> str:
    """Microseconds, from JSON's form."""
    return f"unixepoch(substr({iso}, 1, 19)) * 1000000 + CAST(substr({iso}, 21, 6) AS INTEGER)"


def _moved(instant: str) -> str:
    return f"min({instant} + by_us, {LAST_US})"


# ?1 the step, ?2 now, ?3 and ?4 the ids, ?5 the unreadable ones (W8): core/shift.py in SQLite's SQL.
SHIFT_WAITING = f"""
WITH waiting AS (
  SELECT id AS run_id, data ->> 'deadline_at' AS deadline, data ->> 'due_at' AS due, data ->> 'place_at' AS place, CASE
      WHEN timed <> 2 THEN ?1
      WHEN occurs_at > ?2 THEN occurs_at - due_at
      ELSE min(due_at + ?1, ?2) - due_at END AS by_us
  FROM run WHERE id > ?3 AND id <= ?4 AND queue IS NOT NULL AND (origin <> 0 OR timed = 1)
    AND id NOT IN (SELECT value FROM json_each(?5)))
UPDATE run SET
  due_at = {_moved("due_at")},
  give_up_at = {_moved("give_up_at")},
  occurs_at = CASE timed WHEN 0 THEN {_moved("occurs_at")} ELSE occurs_at END,
  data = json_replace(data,
    '$.due_at', {_iso(_moved(f"({_us('due')})"))},
    '$.place_at', {_iso(_moved(f"({_us('place')})"))},
    '$.give_up_at', {_iso(_moved("give_up_at"))},
    '$.deadline_at', {_iso(_moved(f"({_us('deadline')})"))},
    '$.occurs_at', CASE timed WHEN 0 THEN {_iso(_moved("occurs_at"))} ELSE data ->> 'occurs_at' END)
FROM waiting WHERE id = run_id
"""  # noqa: S608
TOUCH_ALL = "UPDATE worker SET number = ? WHERE state IS NOT NULL"
MARK_CLOCK = "UPDATE meta SET clock = ? WHERE id = 1"
WRITE_META = "UPDATE meta SET number = ?, next_run = ?, next_event = ? WHERE id = 1"

WRITINGS = Writings.of(
    inserted,
    update_runs=UPDATE_RUNS,
    delete_finished=DELETE_FINISHED,
    forget_workers=FORGET_WORKERS,
    touch_workers=TOUCH_WORKERS,
    put_size_declarations=PUT_SIZE_DECLARATIONS,
    delete_nodes=DELETE_NODES,
    put_letters=PUT_LETTERS,
    trim_lines=TRIM_LINES,
)


class Meta(NamedTuple):
    """The counters in the one row of `meta`."""

    number: int  # of the last commit
    next_run: int
    next_event: int
    epoch: int  # the commit that began the present epoch

    @property
    def counted(self) -> Counted:
        return Counted(self.number, self.number, self.next_run - 1, self.next_event - 1)


class SqliteTransaction(Reads, Writes["Database"]):
    """Its session opens and ends it."""

    held = None  # it has the whole file
    writings = WRITINGS
    _db: Database

    def __init__(self, db: Database, clock: Clock, seen: Seen, *, meta: Meta, mark: str | None) -> None:
        Reads.__init__(self, db, clock, seen, number=meta.number, epoch=meta.epoch)
        Writes.__init__(self, meta.number + 1)
        self.meta_before = meta
        self._clock_mark = mark
        self._next_run = meta.next_run
        self._next_event = meta.next_event
        self._place = str(db.path)

    @property
    def meta(self) -> Meta:
        """The row after this transaction."""
        return Meta(self.number, self._next_run, self._next_event, self.meta_before.epoch)

    def clock_mark(self) -> ClockMark | None:
        return codec.clock_of(self._clock_mark)

    def continue_after(self, past: Past) -> None:
        self.number = max(self.number, past.number + 1)
        self._next_run = max(self._next_run, past.run_id + 1)

    def expect(self, runs: int) -> None:
        """Counting costs nothing here."""

    def ids(self) -> Iterator[int]:
        for run_id in count(self._next_run):
            if run_id < self._next_run:
                continue  # another iterator of this transaction has handed it out meanwhile
            self._next_run = run_id + 1
            yield run_id

    def arrivals(self, *, limit: int) -> list[Request]:
        return []

    def finish(self) -> None:
        """The last statement before the commit."""
        self._db.run(WRITE_META, self.meta[:3])

    def _set_aside(self, row: SetAside) -> None:
        rows = unreadable(self._db, sqlite_unreadable.WALK, [(row.table, row.id)])
        if not rows:
            raise StoreRejected(f"{self._place}: row {row.id} of {row.table} can be read, or no longer exists")
        sqlite_unreadable.set_aside(self._db, row, rows[0][0], self.number)

    def _keep_aside(self, row: SetAside) -> None:
        sqlite_unreadable.keep(self._db, row)

    def _tell(self, events: Collection[Event], *, keeps_audit: bool) -> None:
        rows = [
            (number, codec.micros(event.at), event.worker, codec.text_of(event))
            for number, event in enumerate(events, self._next_event)
        ]
        INSERT_EVENTS.run(self._db, rows)
        kept = [(number, at, text) for event, (number, at, _, text) in zip(events, rows, strict=True) if event.AUDITED]
        if kept and keeps_audit:
            self.writings.insert_audit.run(self._db, kept)
        self._next_event += len(events)

    def _number_events_after(self, number: int) -> None:
        self._next_event = max(self._next_event, number + 1)

    def _mark_clock(self, text: str) -> None:
        self._db.run(MARK_CLOCK, (text,))

    def _shift(self, shift: Shift) -> None:
        sealed = codec.json_of([int(row.id) for row in unreadable_of(self._db, sqlite_unreadable.WALK, "run")])
        now_us, after = codec.micros(shift.now), 0
        while (until := self._db.row(SHIFT_UNTIL, (after, SHIFTED_AT_ONCE))[0]) is not None:
            self._db.run(SHIFT_WAITING, (shift.step_us, now_us, after, until, sealed))
            after = int(until)
        self._db.run(TOUCH_ALL, (self.number,))

    def _must_not_have_fired(self, occurrences: list[tuple[str, int]]) -> None:
        fired = shapes.NAMES.read(self._db.text(FIRED_BEFORE, (codec.json_of(occurrences),)))
        if fired:
            raise StoreRejected(f"{self._place}: the scheduled run of {fired[0]!r} at that time has already run (O1)")
